// Draws how it was over the last hours; live.js brings each new point. Without it the page has the numbers of now.
"use strict";

const ROOM = 150;
const SPAN = 300;
const NAMES = { in_step: "in step", in: "read", out: "written", waiting: "waiting" };
const COLUMNS = { in_step: 1, in: 2, out: 3, waiting: 4 };
const COLOURS = { in_step: "--good", in: "--link", out: "--warn", waiting: "--link" };
const section = document.getElementById("charts");
const points = [];
let charts = [];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function columns(names) {
  return [0, ...names.map((name) => COLUMNS[name])].map((at) => points.map((point) => point[at]));
}

function made(place) {
  const names = place.dataset.chart.split(" ");
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
  const percent = names[0] === "in_step";
  const options = {
    width: place.clientWidth, height: ROOM,
    axes: [{ ...axis }, { ...axis, size: 46, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) || percent ? String(tick) : "")) }],
    scales: { x: { range: (_, first, last) => [Math.min(first ?? 0, last - SPAN), last ?? SPAN] }, y: { range: percent ? (_, low) => [Math.max(0, Math.min(99, Math.floor(low ?? 99))), 100] : (_, __, high) => [0, Math.max(4, high * 1.1)] } },
    series: [{}, ...names.map((name) => ({
      label: NAMES[name], stroke: colour(COLOURS[name]), width: 1.5, points: { show: points.length < 2 },
    }))],
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    legend: { show: names.length > 1, live: false }, cursor: { drag: { setScale: false } },
  };
  return { names, place, chart: new uPlot(options, columns(names), place) };
}

function draw() {
  for (const one of charts) one.chart.destroy();
  charts = [...section.querySelectorAll("[data-chart]")].map(made);
}

function add(point) {
  if (points.length && points.at(-1)[0] >= point[0]) return;
  points.push(point);
  for (const one of charts) one.chart.setData(columns(one.names));
}

async function begin() {
  const answer = await fetch(section.dataset.points);
  if (!answer.ok) return;
  points.push(...await answer.json());
  section.hidden = false;
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => {
    for (const one of charts) one.chart.setSize({ width: one.place.clientWidth, height: ROOM });
  }).observe(section);
}

begin();
