"""How many messages a second the core decides, what rows cost to read and write, and how large a linked pair is.

``python benchmarks/decide.py [PAIRS [ROUNDS]]`` prints a table and one line of JSON. Rows are decoded beforehand; one
round brings every message of a kind to a row of its own, and the median of all rounds counts.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from stream.codec import bytes_of, encode, row_of
from stream.core.conversions import conversion
from stream.core.decide import decide
from stream.core.flows import Flow, Flows, Pair, TypeFacts, View
from stream.core.row import Kept, Row
from stream.core.shared import Index
from stream.core.turn import Mail
from stream.model import Command, Message, Offer, Receipt, Seen, id_of
from stream.push import Note, encode_note

SECOND = 1_000_000
NOW = 1_780_000_000 * SECOND
A, B = "asana.tasks", "custompms.task"

FLOW = Flow(
    name="tasks",
    left=A,
    right=B,
    create="forward",
    match=((("name", "title"),),),
    pairs=(
        Pair(left="name", right="title"),
        Pair(left="notes", right="description"),
        Pair(left="due_on", right="dueDate", conversion=conversion("date")),
        Pair(left="completed", right="status", conversion=conversion({"enum": {True: "done", False: "open"}})),
        Pair(left="assignee.email", right="ownerEmail"),
    ),
)
FLOWS = Flows((FLOW,), {A: TypeFacts(rank=0), B: TypeFacts(rank=1)})
VIEW = View(FLOWS, frozenset({A, B}))

Job = tuple[str, Row, Message]


class World:
    """Rows, and mail that is brought to them at once; creates and updates are answered as asked."""

    def __init__(self) -> None:
        self.rows: dict[str, Kept] = {}
        self.ledger: dict[str, bytes] = {}
        self.now = NOW
        self.mail: deque[tuple[str, Message]] = deque()

    def send(self, key: str, message: Message) -> None:
        self.mail.append((key, message))
        while self.mail:
            self._step(*self.mail.popleft())

    def _step(self, key: str, message: Message) -> None:
        self.now += 1
        row, outputs = decide(key, self.rows.get(key), message, VIEW, self.now)
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
        for output in outputs:
            if isinstance(output, Mail):
                self.mail.append((output.to, output.message))
            elif isinstance(output, Command):
                self.mail.append((key, self._write(key, output)))

    def _write(self, key: str, command: Command) -> Receipt:
        target = command.target or f"{command.type}:{id_of(key)}"
        before = dict.fromkeys(FLOWS.paths[command.type]) | command.base
        seen = reading(before | command.want, self.now)
        name = key if command.target else f"create:{command.edge}|{key}"
        self.ledger[name] = encode_note(Note(command.number, "done", target="" if command.target else id_of(key)))
        return Receipt(number=command.number, outcome="done", target=target, after=seen)


def reading(fields: dict[str, object], at: int) -> Seen:
    return Seen(fields=fields, read_at=at + 2 * SECOND, updated_at=at, pristine=False)


def task(number: int) -> dict[str, object]:
    return {
        "name": f"Order {number}: valves for the west wing",
        "notes": f"Call before delivery, gate {number % 7}; the key hangs left of the door.",
        "due_on": f"2026-06-{number % 28 + 1:02}",
        "completed": number % 3 == 0,
        "assignee.email": f"person{number % 40}@example.org",
    }


def linked(pairs: int) -> World:
    world = World()
    for number in range(pairs):
        world.send(f"{A}:12040{number:010}", reading(task(number), NOW - 3600 * SECOND))
        row = world.rows[f"{A}:12040{number:010}"]
        assert isinstance(row, Row)
        world.send(row.edges["tasks/a"].peer, reading(_shown(world, row.edges["tasks/a"].peer), world.now))
    return world


def _shown(world: World, ref: str) -> dict[str, object]:
    row = world.rows[ref]
    assert isinstance(row, Row)
    return dict(row.remote)


def jobs(world: World) -> dict[str, list[Job]]:
    """Each kind of message, at rows that are ready for it."""
    at = world.now + 60 * SECOND
    kinds: dict[str, list[Job]] = {
        "unchanged": [],
        "other fields": [],
        "edit": [],
        "offer": [],
        "receipt": [],
    }
    for key, row in world.rows.items():
        if not isinstance(row, Row) or not key.startswith(A):
            continue
        kinds["unchanged"].append((key, row, reading(dict(row.remote), row.updated_at)))
        kinds["other fields"].append((key, row, reading(dict(row.remote), at)))
        edit = reading(row.remote | {"notes": "Bring the long ladder; nobody is in before nine."}, at)
        kinds["edit"].append((key, row, edit))
        _, outputs = decide(key, row, edit, VIEW, at)
        [mail] = [output for output in outputs if isinstance(output, Mail)]
        assert isinstance(mail.message, Offer)
        peer = world.rows[mail.to]
        assert isinstance(peer, Row)
        kinds["offer"].append((mail.to, peer, mail.message))
        writing, outputs = decide(mail.to, peer, mail.message, VIEW, at)
        [command] = [output for output in outputs if isinstance(output, Command)]
        assert isinstance(writing, Row)
        before, after = reading(dict(peer.remote), at - SECOND), reading(peer.remote | command.want, at + SECOND)
        before = replace(before, updated_at=peer.updated_at)
        receipt = Receipt(number=command.number, outcome="done", target=mail.to, before=before, after=after)
        kinds["receipt"].append((mail.to, writing, receipt))
        done, outputs = decide(mail.to, writing, receipt, VIEW, at)
        assert isinstance(done, Row)
        assert done.writing is None
        assert not outputs
    return kinds


def mixed(kinds: dict[str, list[Job]]) -> list[Job]:
    """One edit: it is read, offered, written, confirmed, and read once more."""
    mix: list[Job] = []
    for edit, offer, receipt, unchanged in zip(
        *(kinds[name] for name in ("edit", "offer", "receipt", "unchanged")), strict=True
    ):
        mix += (edit, offer, receipt, unchanged)
    return mix


def rate(work: Callable[[], None], count: int, rounds: int) -> float:
    """Per second of processor time; the median of all rounds."""
    took = []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return count / statistics.median(took)


def deciding(work: Iterable[Job], now: int) -> Callable[[], None]:
    def run() -> None:
        for key, row, message in work:
            decide(key, row, message, VIEW, now)

    return run


def codec(world: World, rounds: int) -> dict[str, float]:
    rows = [row for row in world.rows.values() if isinstance(row, Row)]
    data = [bytes_of(row) for row in rows]

    def read() -> None:
        for each in data:
            row_of(each)

    def write() -> None:
        for row in rows:
            bytes_of(row)

    return {"decode row": rate(read, len(rows), rounds), "encode row": rate(write, len(rows), rounds)}


def size(world: World, pairs: int) -> dict[str, float]:
    """Bytes that a linked pair keeps, keys included, past the values of its fields."""
    found = {"rows": 0, "index": 0, "ledger": 0, "values": 0}
    for key, row in world.rows.items():
        found["index" if isinstance(row, Index) else "rows"] += len(key) + len(bytes_of(row))
        if isinstance(row, Row):
            found["values"] += sum(len(encode(value)) for value in row.remote.values())  # type: ignore[arg-type]
    found["ledger"] = sum(len(key) + len(note) for key, note in world.ledger.items())
    whole = sum(found.values()) - 2 * found["values"]
    return {**{name: number / pairs for name, number in found.items()}, "beyond values": whole / pairs}


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    world = linked(pairs)
    kinds = jobs(world)
    now = world.now + 70 * SECOND
    mix = mixed(kinds)
    rates = {"mix": rate(deciding(mix, now), len(mix), rounds)}
    rates |= {name: rate(deciding(work, now), len(work), rounds) for name, work in kinds.items()}
    rates |= codec(world, rounds)
    sizes = size(world, pairs)
    print(f"{'messages a second':<24}{'':>12}")
    for name, number in rates.items():
        print(f"  {name:<22}{number:>12,.0f}{1e6 / number:>10.2f} us")
    print("bytes of a linked pair")
    for name, number in sizes.items():
        print(f"  {name:<22}{number:>12,.0f}")
    print(
        json.dumps(
            {"per_second": {k: round(v) for k, v in rates.items()}, "bytes": {k: round(v) for k, v in sizes.items()}}
        )
    )


if __name__ == "__main__":
    main()
