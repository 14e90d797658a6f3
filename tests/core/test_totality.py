"""Any message, with any content, at any row that ``decide`` itself has made: it never raises, never changes the row
it is given, and no version ever goes back.
"""

from __future__ import annotations

from typing import Any

import msgspec.structs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.codec import bytes_of, decode_message, encode, row_of
from stream.core.decide import decide
from stream.core.flows import Flows, Pair, TypeFacts, View
from stream.core.matching import key_of
from stream.core.row import Kept, Row
from stream.core.turn import Mail
from stream.model import Command, Message, Receipt, Seen, Stated, Version
from tests.core.build import ALL, FIELDS, START, flow

PARENT = Pair(left="parent", right="parent", reference="p", required="b")
FLOWS = (
    flow("a.p", "b.p", name="p"),
    flow(pairs=(*FIELDS, PARENT), create="both"),
    flow("b.t", "c.t", name="g", match=(), pairs=FIELDS),
)
FACTS = {name: TypeFacts(rank=rank, lag=rank, marked=name not in ("a.t", "b.t")) for rank, name in enumerate(ALL)}
VIEWS = [View(Flows(FLOWS, FACTS), frozenset(ALL)), View(Flows(FLOWS[:2], FACTS), frozenset())]

TIMES = st.integers(0, 40).map(lambda seconds: START + seconds * 500_000)
NUMBERS = TIMES | st.integers(0, 3)
VALUES = st.none() | st.sampled_from(["", "n", " N", "x", "1", 1, True]) | st.lists(st.just("1"), max_size=1)
REFS = st.sampled_from([f"{name}:{id}" for name in ALL for id in (1, 2)])
INDEXES = st.sampled_from([key_of("f", "name=name", ["n"]), key_of("p", "name=name", ["n"])])
ROSTERS = st.sampled_from(["roster:f/a", "roster:f/b"])
KEYS = REFS | INDEXES | ROSTERS | st.sampled_from(["", "a", "z.z:1", "index:", "a.t:"])
EDGES = st.sampled_from(["f/a", "f/b", "g/a", "g/b", "p/a", "p/b", "", "none/a"])
NAMES = st.sampled_from(["name", "x", "y", "parent", "other"])
MARKERS = st.none() | st.sampled_from(["f|a.t:1", "f|b.t:1", "g|b.t:1", "x", "f|"])
FIELDS_ = st.dictionaries(NAMES, VALUES)
VERSIONS = st.builds(Version, TIMES | st.sampled_from([-2, -1]), st.integers(0, 3), st.integers(0, 3))
STATED = st.builds(Stated, VALUES, VERSIONS, st.none() | VERSIONS, REFS | st.just(""))
SEEN = st.builds(
    Seen,
    fields=FIELDS_,
    read_at=TIMES,
    updated_at=st.none() | TIMES,
    revision=st.none() | st.integers(0, 3),
    marker=MARKERS,
    pristine=st.booleans(),
    by_us=st.none() | st.booleans(),
)
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "edge": EDGES,
    "sender": REFS,
    "peer": REFS | st.just(""),
    "number": NUMBERS,
    "key": INDEXES | ROSTERS | st.just(""),
    "alive_at": TIMES,
    "read_at": TIMES,
    "fields": st.dictionaries(NAMES, STATED),
    "want": st.dictionaries(NAMES, STATED),
    "seen": st.none() | SEEN,
    "twin": st.none() | REFS,
    "candidates": st.lists(REFS, max_size=2).map(tuple),
    "target": st.none() | REFS,
    "before": st.none() | SEEN,
    "after": st.none() | SEEN,
    "guard_at": st.none() | TIMES,
    "reason": st.sampled_from(["", "no"]),
    "wait": st.none() | st.just(1.0),
    "field": NAMES | st.sampled_from(["x~", 'x~"a"']),
    "value": VALUES,
    "over": VERSIONS,
    "side": st.sampled_from(["a", "b", "c"]),
}


def messages() -> st.SearchStrategy[Message]:
    def of(kind: type[Any]) -> st.SearchStrategy[Any]:
        if kind is Seen:
            return SEEN
        known = {name: PARTS[name] for name in kind.__struct_fields__ if name in PARTS}
        if kind is Receipt:
            known["fields"] = st.dictionaries(NAMES, st.just("no"))
        others = {field.name: field.type for field in msgspec.structs.fields(kind) if field.name not in known}
        return st.builds(kind, **{name: st.from_type(hint) for name, hint in others.items()}, **known)

    return st.one_of([of(kind) for kind in Message.__args__])


def registers(row: Kept | None) -> dict[str, Version]:
    return {field: cell.version for field, cell in row.cells.items()} if isinstance(row, Row) else {}


@pytest.mark.timeout(600)  # slow under coverage
@settings(max_examples=200)
@given(st.data())
def test_decide_is_total_and_pure_and_versions_never_go_back(data: st.DataObject) -> None:
    rows: dict[str, Kept] = {}
    mail: list[tuple[str, Message]] = []
    now = START
    for _ in range(data.draw(st.integers(1, 25))):
        now += 700_000
        if mail and data.draw(st.integers(0, 3)):
            key, message = mail.pop(data.draw(st.integers(0, min(2, len(mail) - 1))))
        else:
            key, message = data.draw(KEYS), data.draw(messages())
        view = VIEWS[data.draw(st.integers(0, 7)) == 0]
        old = rows.get(key)
        before = None if old is None else bytes_of(old)
        assert decode_message(encode(message)) == message
        row, out = decide(key, old, message, view, now)
        assert before == (None if old is None else bytes_of(old))
        went, came = registers(old), registers(row)
        back = {field for field in went.keys() & came.keys() if came[field] < went[field]}
        assert not back, f"{back} went back: {went} -> {came}"
        if row is None:
            rows.pop(key, None)
            continue
        assert row_of(bytes_of(row)) == row
        rows[key] = row
        for each in out:
            if isinstance(each, Mail):
                mail.append((each.to, each.message))
            elif isinstance(each, Command):
                shown = data.draw(SEEN)
                target = each.target or data.draw(REFS.filter(lambda ref, kind=each.type: ref.startswith(kind)))
                outcome = data.draw(st.sampled_from(["done", "found", "stale", "refused", "retry", "unknown"]))
                mail.append(
                    (key, Receipt(number=each.number, outcome=outcome, target=target, after=shown, before=shown))
                )
