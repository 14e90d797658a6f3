// Puts the numbers that have changed in their places. Without it the page says what was true when it was loaded.
"use strict";

const places = new Map();
for (const place of document.querySelectorAll("[data-live]")) {
  const name = place.dataset.live;
  places.set(name, [...(places.get(name) ?? []), place]);
}
const pulse = document.getElementById("pulse");

function say(text, tone) {
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.className = `pulse ${tone}`;
}

let first = true;
const source = new EventSource("/live");
source.onmessage = (event) => {
  for (const [name, [text, tone]] of Object.entries(JSON.parse(event.data))) {
    for (const place of places.get(name) ?? []) {
      const mark = place.classList.contains("mark");
      const fresh = !first && place.textContent !== text && !name.endsWith(" read") && !name.endsWith(" behind");
      place.textContent = text;
      place.setAttribute("class", [tone, mark ? "mark" : "", fresh ? "fresh" : ""].join(" ").trim());
    }
  }
  first = false;
};
source.addEventListener("point", (event) => add(JSON.parse(event.data)));
source.onopen = () => { first = true; say("live", "on"); };
source.onerror = () => say("the worker does not answer; these numbers are old", "off");
addEventListener("pagehide", () => source.close());
