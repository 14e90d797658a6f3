"""Pages are followed to their end, and to no more than that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import BadAnswer
from connectors.paging import Paging, Seen, State, advance, ask

OFFSET = Paging(kind="offset", position="offset", limit="limit", size=5)
PAGE = Paging(kind="page", position="page", limit="per_page", size=5)
CURSOR = Paging(kind="cursor", position="after", limit="limit", size=5, next="meta.next")
LINK = Paging(kind="link", limit="limit", size=5, next="links.next")


def seen(ids: list[str], **body: Any) -> Seen:
    return Seen(ids=ids, body=body, headers={}, digest=str((ids, body)))


def walk(paging: Paging, items: list[str], *, disturb: Any = None) -> list[str]:
    """Read a list as a system with this paging gives it out; ``disturb`` changes the list between pages."""
    found: list[str] = []
    state: State | None = None
    for step in range(1000):
        _, pairs = ask(paging, state)
        at = dict(pairs)
        start = int(at.get("offset", 0)) if paging.kind == "offset" else (int(at.get("page", 1)) - 1) * paging.size
        page = items[start : start + paging.size]
        found += page
        state = advance(paging, state, seen(page))
        if state is None:
            return found
        if disturb:
            disturb(step, items)
    pytest.fail("the list has no end")


@settings(deadline=None)
@given(st.integers(0, 60), st.sampled_from([OFFSET, PAGE]))
def test_a_quiet_list_is_read_whole(count: int, paging: Paging) -> None:
    items = [str(n) for n in range(count)]
    found = walk(paging, list(items))
    assert list(dict.fromkeys(found)) == items
    assert len(found) <= count + count // (paging.size - 1) + 1


@settings(deadline=None)
@given(st.integers(0, 60), st.data())
def test_no_record_is_skipped_when_others_vanish_or_appear(count: int, data: st.DataObject) -> None:
    items = [str(n) for n in range(count)]
    gone: set[str] = set()

    def disturb(step: int, now: list[str]) -> None:
        if step > 15:
            return
        for _ in range(data.draw(st.integers(0, 3))):
            if now:
                gone.add(now.pop(data.draw(st.integers(0, len(now) - 1))))
        if data.draw(st.booleans()):
            now.insert(data.draw(st.integers(0, len(now))), f"new {step}")

    found = walk(OFFSET, list(items), disturb=disturb)
    assert set(items) - gone <= set(found)


def test_a_system_that_ignores_the_position_is_found_out() -> None:
    same = seen(["1", "2", "3", "4", "5"])
    for paging in (OFFSET, PAGE):
        state = advance(paging, None, same)
        with pytest.raises(BadAnswer, match="same page twice"):
            advance(paging, state, same)


@pytest.mark.parametrize("paging", [CURSOR, LINK])
def test_a_next_page_is_followed_until_there_is_none(paging: Paging) -> None:
    field = (paging.next or "").split(".")[0]
    first = advance(paging, None, seen(["1"], **{field: {"next": "abc"}}))
    assert first is not None
    address, pairs = ask(paging, first)
    assert address == "abc" if paging.kind == "link" else dict(pairs)["after"] == "abc"
    for end in ({}, {field: {}}, {field: {"next": None}}, {field: {"next": ""}}):
        assert advance(paging, first, seen(["2"], **end)) is None


@pytest.mark.parametrize("paging", [CURSOR, LINK])
def test_a_next_page_that_is_this_page_is_found_out(paging: Paging) -> None:
    field = (paging.next or "").split(".")[0]
    first = advance(paging, None, seen(["1"], **{field: {"next": "abc"}}))
    with pytest.raises(BadAnswer, match="this page"):
        advance(paging, first, seen(["2"], **{field: {"next": "abc"}}))


def test_pages_without_end_that_repeat_themselves_are_found_out() -> None:
    state = advance(CURSOR, None, Seen(ids=["1"], body={"meta": {"next": "a"}}, headers={}, digest="same"))
    with pytest.raises(BadAnswer, match="twice"):
        advance(CURSOR, state, Seen(ids=["1"], body={"meta": {"next": "b"}}, headers={}, digest="same"))


def test_an_empty_page_ends_a_list_whatever_its_next_says() -> None:
    assert advance(CURSOR, None, seen([], meta={"next": "abc"})) is None


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ('<https://x.example/a?page=2>; rel="next"', "https://x.example/a?page=2"),
        (
            '<https://x.example/a?page=1>; rel="prev", <https://x.example/a?page=3>; rel="next"',
            "https://x.example/a?page=3",
        ),
        ("<https://x.example/a?p=2>; rel=next", "https://x.example/a?p=2"),
        ('<https://x.example/a?page=1>; rel="first"', None),
        ("", None),
    ],
)
def test_the_link_header_is_read(header: str, address: str | None) -> None:
    paging = Paging(kind="link")
    state = advance(paging, None, Seen(ids=["1"], body=[], headers={"link": header}, digest="d"))
    assert (state["next"] if state else None) == address


def test_no_paging_is_one_page() -> None:
    assert ask(Paging(), None) == (None, ())
    assert advance(Paging(), None, seen(["1"])) is None
