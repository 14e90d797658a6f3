from __future__ import annotations

from itertools import chain
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.engine.kafka.group import Keeping, share_of_next, shares

COUNTS = st.integers(1, 40)


def shared(partitions: int, members: int) -> dict[str, list[int]]:
    """What so many have who came one after the other."""
    held: dict[str, list[int]] = {}
    for number in range(members):
        held = shares(partitions, {**held, f"{number * 7 % 10}{number}": []})
    return held


def fair(partitions: int, held: dict[str, list[int]]) -> bool:
    sizes = [len(share) for share in held.values()]
    return max(sizes) - min(sizes) <= 1 and sorted(chain(*held.values())) == [*range(partitions)]


@given(COUNTS, st.integers(1, 12))
def test_of_what_somebody_has_only_as_much_moves_as_who_comes_is_due(partitions: int, members: int) -> None:
    before = shared(partitions, members)
    after = shares(partitions, {**before, "who comes": []})
    assert fair(partitions, after)
    assert all(set(after[member]) <= set(share) for member, share in before.items())
    assert after["who comes"] == share_of_next(partitions, before)


@given(COUNTS, st.integers(2, 12), st.integers(0))
def test_what_somebody_had_who_goes_is_shared_and_nothing_else_moves(partitions: int, members: int, who: int) -> None:
    before = shared(partitions, members)
    del before[sorted(before)[who % members]]
    after = shares(partitions, before)
    assert fair(partitions, after)
    assert all(set(share) <= set(after[member]) for member, share in before.items())


@given(COUNTS, st.dictionaries(st.text("abc", min_size=1), st.sets(st.integers(0, 50)), min_size=1))
def test_shares_are_fair_whatever_members_say(partitions: int, told: dict[str, set[int]]) -> None:
    assert fair(partitions, shares(partitions, told))


def test_a_partition_number_is_one_members_in_all_topics() -> None:
    counts = {"changes": 4, "mail": 4, "late": 5}
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts[topic])))
    members = {name: Keeping() for name in ("one", "two")}
    for _ in range(2):
        told = {name: member.metadata(counts) for name, member in members.items()}
        for name, share in members["one"].assign(cluster, told).items():
            members[name].on_assignment(share)
        assert [sorted(member.held) for member in members.values()] == [[0, 1, 2], [3, 4]]
    assert dict(share.assignment) == {"changes": [3], "late": [3, 4], "mail": [3]}
