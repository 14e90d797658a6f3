from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream.engine.kafka.group import Ranges, share_of_next

TOPICS = ("changes", "mail")


def given(members: dict[str, Ranges], partitions: int) -> dict[str, set[int]]:
    """The partitions of each member, the same in every topic."""
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda _: set(range(partitions)))
    leader = next(iter(members.values()))
    told = {name: member.metadata(TOPICS) for name, member in members.items()}
    shares = {}
    for name, share in leader.assign(cluster, told).items():
        first, *others = [frozenset(numbers) for _, numbers in share.assignment]
        assert set(others) == {first}
        shares[name] = set(first)
    return shares


def test_partitions_go_to_members_in_the_order_in_which_they_came_fixed_names_first() -> None:
    members = {"z": Ranges(""), "a": Ranges(""), "m": Ranges("left"), "b": Ranges("")}
    assert given(members, 9) == {"m": {0, 1, 2}, "z": {3, 4}, "a": {5, 6}, "b": {7, 8}}


@pytest.mark.parametrize("partitions", [1, 4, 7, 8])
def test_who_comes_knows_what_it_will_get(partitions: int) -> None:
    members = {"fixed": Ranges("one")}
    for number in range(9):
        share = share_of_next(partitions, len(members))
        members[f"{9 - number}"] = Ranges("")
        assert given(members, partitions)[f"{9 - number}"] == set(share)
