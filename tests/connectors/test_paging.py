"""Pages are followed to their end, and to no more than that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.errors import BadAnswer
from connectors.paging import Paging, Seen, State, advance, ask

OFFSET = Paging(kind="offset", position="offset", limit="limit", size=5)
PAGE = Paging(kind="page", position="page", limit="per_page", size=5)
CURSOR = Paging(kind="cursor", position="after", limit="limit", size=5, next="meta.next")
LINK = Paging(kind="link", limit="limit", size=5, next="links.next")
FIXED = Paging(kind="page", limit=None, size=5)
COUNTED = [OFFSET, PAGE, FIXED, *(replace(one, stop=("empty",)) for one in (OFFSET, PAGE, FIXED))]


def seen(ids: list[str], **body: Any) -> Seen:
    """A page of records; behind an ``@`` stands when one was changed."""
    names, times = [id.partition("@")[0] for id in ids], [id.partition("@")[2] for id in ids]
    return Seen(ids=names, times=times if any(times) else (), body=body, headers={}, digest=str((ids, body)))


def walk(paging: Paging, items: list[str], *, disturb: Any = None) -> list[str]:
    """Read a list as a system with this paging gives it out; ``disturb`` changes the list between pages."""
    found: list[str] = []
    state: State | None = None
    for step in range(1000):
        _, pairs = ask(paging, state)
        at = dict(pairs)
        size = int(at.get("limit") or at.get("per_page") or paging.size)
        start = int(at.get("offset", 0)) if paging.kind == "offset" else (int(at.get("page", 1)) - 1) * size
        page = items[start : start + size]
        assert size <= paging.size
        found += page
        state = advance(paging, state, seen(page))
        if state is None:
            return found
        if disturb:
            disturb(step, items)
    pytest.fail("the list has no end")


@settings(deadline=None)
@given(st.integers(0, 60), st.sampled_from(COUNTED), st.integers(1, 7))
def test_a_quiet_list_is_read_whole(count: int, paging: Paging, size: int) -> None:
    items = [str(n) for n in range(count)]
    found = walk(replace(paging, size=size), list(items))
    assert list(dict.fromkeys(found)) == items


@pytest.mark.parametrize("paging", [OFFSET, PAGE])
def test_reading_early_costs_little(paging: Paging) -> None:
    items = [str(n) for n in range(10_000)]
    found = walk(replace(paging, size=100), items)
    assert len(found) <= 1.08 * len(items)


@settings(deadline=None)
@given(st.integers(0, 60), st.sampled_from([OFFSET, PAGE]), st.data())
def test_no_record_is_skipped_when_others_vanish_or_appear(count: int, paging: Paging, data: st.DataObject) -> None:
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

    found = walk(paging, list(items), disturb=disturb)
    assert set(items) - gone <= set(found)


@settings(deadline=None)
@given(st.integers(0, 60), st.sampled_from([OFFSET, PAGE]), st.data())
def test_no_record_is_skipped_when_edits_move_others_to_the_end(
    count: int, paging: Paging, data: st.DataObject
) -> None:
    """In a list ordered by change, the last record of a page was edited together with others and stood on the next."""
    items = [f"{n}@0" for n in range(count)]

    def disturb(step: int, now: list[str]) -> None:
        for _ in range(data.draw(st.integers(0, 3)) if now and step <= 15 else 0):
            id = now.pop(data.draw(st.integers(0, len(now) - 1))).partition("@")[0]
            now.append(f"{id}@{step + 1}")

    found = walk(paging, list(items), disturb=disturb)
    assert {item.partition("@")[0] for item in items} == {item.partition("@")[0] for item in found}


def test_an_anchor_that_was_edited_is_no_anchor() -> None:
    paging = replace(OFFSET, size=2)
    state = advance(paging, None, seen(["1@0", "4@0", "2@0", "3@0"][:2]))
    assert state is not None
    assert state["at"] == 1
    after = advance(paging, state, seen(["1@1", "4@1"]))  # of 2, 1, 4, 3
    assert after is not None
    assert after["at"] == 0


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


def follow(page: Callable[[int], list[str]]) -> None:
    """Follow cursors that are always new to pages with these ids."""
    state: State | None = None
    for number in range(200):
        ids = page(number)
        body = {"meta": {"next": str(number)}}
        state = advance(CURSOR, state, Seen(ids=ids, body=body, headers={}, digest=str(ids or body)))


def test_an_empty_page_ends_a_list_only_where_it_is_said_to() -> None:
    empty = seen([], meta={"next": "abc"})
    assert advance(CURSOR, None, empty) is not None
    assert advance(replace(CURSOR, stop=("empty", "missing next")), None, empty) is None


def test_empty_pages_for_ever_are_found_out() -> None:
    with pytest.raises(BadAnswer, match="101 empty pages"):
        follow(lambda _: [])


@pytest.mark.parametrize("cycle", [1, 2, 3, 7])
def test_pages_that_come_round_again_are_found_out(cycle: int) -> None:
    with pytest.raises(BadAnswer, match="same page twice"):
        follow(lambda number: [str(number % cycle)])


@pytest.mark.parametrize("paging", [OFFSET, PAGE, CURSOR], ids=["offset", "page", "cursor"])
def test_a_total_ends_a_list_and_a_short_page_does_not(paging: Paging) -> None:
    told = replace(paging, total="meta.total")
    assert advance(told, None, seen(list("abcde"), meta={"total": 5, "next": "x"})) is None
    assert advance(told, None, seen(list("abcde"), meta={"total": "6", "next": "x"})) is not None
    if paging is not PAGE:
        assert advance(told, None, seen(["a", "b"], meta={"total": 3, "next": "x"})) is not None
    with pytest.raises(BadAnswer, match=r"found None at meta\.total; the number of all records would be right"):
        advance(told, None, seen(list("abcde"), meta={"next": "x"}))


def test_pages_smaller_than_asked_for_are_found_out_where_the_system_says_there_is_more() -> None:
    with pytest.raises(BadAnswer, match=r"found 3 records on a page of 5 that is not the last; paging\.size: 3"):
        advance(replace(PAGE, total="total"), None, seen(["a", "b", "c"], total=100))


def test_a_flag_or_a_header_can_say_that_there_is_no_more() -> None:
    flag = replace(OFFSET, more="has_more")
    assert advance(flag, None, seen(["a"], has_more=True)) is not None
    assert advance(flag, None, seen(list("abcde"), has_more=False)) is None
    header = replace(CURSOR, next="header:X-Next")
    page = Seen(ids=["1"], body=[], headers={"x-next": "abc"}, digest="d")
    state = advance(header, None, page)
    assert state is not None
    assert dict(ask(header, state)[1])["after"] == "abc"


def test_the_last_id_leads_on_until_a_page_is_empty() -> None:
    last = Paging(kind="last id", position="before", size=2)
    assert ask(last, None) == (None, (("limit", "2"),))
    state = advance(last, None, seen(["9"]))
    assert ask(last, state) == (None, (("limit", "2"), ("before", "9")))
    assert advance(last, state, seen([])) is None
    with pytest.raises(BadAnswer, match="this page"):
        advance(last, state, seen(["10", "9"]))


def test_a_next_page_of_another_shape_is_refused() -> None:
    with pytest.raises(BadAnswer, match="found dict for the next page"):
        advance(CURSOR, None, seen(["1"], meta={"next": {"a": 1}}))


def test_counting_begins_where_the_system_begins() -> None:
    assert ask(replace(OFFSET, first=1), None)[1][1] == ("offset", "1")
    assert ask(replace(PAGE, first=0), None)[1][1] == ("page", "0")
    assert ask(replace(PAGE, position=None), None)[1][1] == ("page", "1")


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
        ("<" * 200_000, None),  # read in one go, not once from each bracket
        ("<a>;" * 100_000 + " " * 100_000, None),
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
