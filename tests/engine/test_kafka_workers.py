"""Several worker processes over a real Kafka: killed, frozen, joined and left, brokers restarted; counts stay exact.

What is counted is what a reader of committed records sees, and the ledger outside. Every test says how long the faults
were felt. With LINKSTREAM_FAULTS set they take long and do much: ``make faults``.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stream.engine.backends import socket_at
from tests.engine.team import SESSION, STUCK, Faults, Standstill, Team, check, finish, hired, shared_out
from tests.engine.test_worker import until
from tests.engine.three_agents import POINTS
from tests.kafka.broker import Cluster
from tests.kafka.proxy import proxied

pytestmark = [pytest.mark.process, pytest.mark.timeout(1200 if os.environ.get("LINKSTREAM_FAULTS") else 170)]

FULL = bool(os.environ.get("LINKSTREAM_FAULTS"))
KILLS, REBALANCES, ZOMBIES, BROKERS = (50, 10, 5, 5) if FULL else (4, 3, 1, 1)


@pytest.fixture
def team(tmp_path: Path, kafka: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    with hired(tmp_path, kafka, name, monkeypatch) as team:
        yield team


def test_three_workers_killed_at_named_points_and_random_moments_lose_and_double_nothing(team: Team) -> None:
    """Every second kill is at a random moment; the worker that comes back dies at a named point."""
    seed = int(os.environ.get("LINKSTREAM_SEED", str(random.randrange(1 << 32))))
    roll = random.Random(seed)
    points = list(POINTS)
    roll.shuffle(points)
    faults, died = Faults(team), Counter[str]()
    working = {name: team.hire(name) for name in ("w1", "w2", "w3")}
    until(lambda: team.pushed() > 0, 40)
    for kill in range(0, KILLS, 2):
        name = roll.choice(sorted(working))
        time.sleep(roll.uniform(0.0, 0.5))  # the moment is what is varied
        assert team.gone(working[name], signal.SIGKILL) == -signal.SIGKILL
        point = points[kill // 2 % len(points)]
        doomed = team.hire(name, crash=f"{point} #{roll.randint(*POINTS[point].passages)}")
        guest = None
        if "taken" in point:
            until(lambda doomed=doomed: socket_at(team.url, doomed.pid).exists(), STUCK)
            guest = team.hire()  # somebody comes, and partitions are taken from the others
        print(f"dies where {point}")
        assert team.gone(doomed) == -signal.SIGKILL, point
        died[point] += 1
        working[name] = team.hire(name)
        if guest is not None:
            team.gone(guest, signal.SIGKILL)
        faults.over()
    print(f"seed {seed}; {dict(died)}")
    print(faults.figures(f"of {KILLS} kills, each twice in a row"))
    check(team, finish(team))


def test_what_a_killed_worker_had_goes_on_elsewhere_when_its_session_is_over(team: Team) -> None:
    team.hire(), team.hire(state="other")
    until(lambda: team.pushed() > 50 and shared_out(team, 2), 40)
    faults = Faults(team)
    for number in range(REBALANCES // 3):
        team.gone(team.workers[0], signal.SIGKILL)
        faults.over()
        team.hire(state=("other", "state")[number % 2])
        until(lambda: shared_out(team, 2), STUCK)
    print(faults.figures(f"workers killed for good, with a session of {SESSION} s"))
    assert max(faults.took) < SESSION + 2
    check(team, finish(team))


def test_workers_that_come_and_go_hand_over_what_they_have(team: Team) -> None:
    """1, 4, 2, 8 workers, and each replaced in turn: every lane is one worker's, and none stands still for long."""
    faults, stood, taken = Faults(team), list[float](), list[float]()

    def moved(wanted: int) -> None:
        """Workers come or leave until there are so many: one rebalance at least, through which everything goes on."""
        began = time.monotonic()
        with Standstill(faults) as watch:
            while len(team.alive()) < wanted:
                team.hire(state=f"{len(stood)}.{len(team.workers)}")
            while len(team.alive()) > wanted:
                leave(team)
            until(lambda: stays(team) and shared_out(team, wanted), STUCK)
            taken.append(time.monotonic() - began)
            faults.over()
        stood.append(watch.longest)

    team.hire(state="0")
    until(lambda: team.pushed() > 50 and shared_out(team, 1), 40)
    for wanted in (4, 2, 8, 3) if FULL else (3, 2):
        moved(wanted)
    first = len(stood)
    for _ in list(team.alive()):
        moved(len(team.alive()) + 1)
        moved(len(team.alive()) - 1)
    rolling, stood[:] = max(stood[first:]), sorted(stood)
    taken.sort()
    print(
        f"{len(stood)} rebalances: every lane was one worker's after p50 {taken[len(taken) // 2]:.1f} s, max "
        f"{taken[-1]:.1f} s; the partition that stood still longest did so for p50 {stood[len(stood) // 2]:.1f} s, max "
        f"{stood[-1]:.1f} s, and {rolling:.1f} s in a rolling restart"
    )
    assert rolling < 10.0
    assert len(stood) >= (10 if FULL else 5)
    assert "Traceback" not in team.said()
    check(team, finish(team))


def stays(team: Team) -> bool:
    """Nobody has ended who was not told to. Always true."""
    assert len(team.alive()) == len(team.workers), team.said()[-2000:]
    return True


def leave(team: Team) -> None:
    """The worker that is there for longest is told to end."""
    assert team.gone(team.workers[0], signal.SIGTERM) == 0


def test_a_worker_that_was_frozen_and_goes_on_writes_nothing_old(team: Team) -> None:
    faults = Faults(team)
    team.hire(), team.hire(state="other")
    until(lambda: team.pushed() > 50 and shared_out(team, 2), 40)
    for _ in range(ZOMBIES):
        frozen = team.workers[0]
        frozen.send_signal(signal.SIGSTOP)
        until(lambda frozen=frozen: psutil.Process(frozen.pid).status() == psutil.STATUS_STOPPED)
        faults.over(frozen)  # its partitions are worked on by the other one
        frozen.send_signal(signal.SIGCONT)
        until(lambda frozen=frozen: frozen.poll() is not None, STUCK)
        assert frozen.returncode == 70, team.said()[-2000:]
        team.keep()
        until(lambda: shared_out(team, 2), STUCK)
    print(faults.figures(f"workers frozen beyond their session of {SESSION} s; exit codes {team.ended}"))
    check(team, finish(team))


def test_brokers_that_end_lose_and_double_nothing(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = cluster()
    with hired(tmp_path, broken.bootstrap, name, monkeypatch) as team:
        faults = Faults(team)
        team.hire("w1"), team.hire("w2")
        until(lambda: team.pushed() > 50, 40)
        for number in range(BROKERS):
            (broken.stop if number % 2 else broken.kill)()
            broken.start()
            faults.over()
        print(faults.figures(f"restarts of the only broker, since it served again; exit codes {team.ended}"))
        check(team, finish(team))


def test_of_three_brokers_each_may_be_killed_and_all_restarted_in_turn(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = cluster(brokers=3, heap=320)
    told = f"{three.bootstrap}?timeout=8&"  # a broker that hangs is given up after so many seconds
    with hired(tmp_path, three.bootstrap, name, monkeypatch, copies=3, told=told) as team:
        faults = Faults(team)
        team.hire("w1"), team.hire("w2")
        until(lambda: team.pushed() > 50, 60)
        for number in (
            (1, 2, 3) if FULL else (1,)
        ):  # each leads some partitions; one of them the group and the transactions
            three.kill(number)
            faults.over()
            three.start(number)
            three.settle()
        print(faults.figures(f"brokers of three killed, leaders among them; exit codes {team.ended}"))
        if FULL:
            hanging = Faults(team)
            for number in (1, 2, 3):
                three.freeze(number)
                hanging.over()
                three.thaw(number)
                three.settle()
            print(hanging.figures(f"brokers of three that hung; exit codes {team.ended}"))
            with Standstill(faults) as watch:
                three.roll()
                faults.over()
            print(f"all three restarted in turn: no partition stood still for more than {watch.longest:.1f} s")
        check(team, finish(team))


def test_a_broker_that_is_slow_or_cut_off_is_waited_for(
    tmp_path: Path, cluster: Callable[..., Cluster], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 ms each way; then no connection for longer than a session, as if the network were gone."""
    with proxied(cluster) as network, hired(tmp_path, f"127.0.0.1:{network.port}", name, monkeypatch) as team:
        faults = Faults(team)
        team.hire(), team.hire(state="other")
        until(lambda: team.pushed() > 50 and shared_out(team, 2), 60)
        network.delay = 0.2
        faults.over()
        assert team.ended == [], "a slow broker is no reason to end"
        network.delay = 0.0
        print(faults.figures("times 200 ms each way"))
        network.cut()
        until(lambda: team.keep() or len(team.ended) >= 2, STUCK)  # their leases are over, or they cannot start
        network.mend()
        faults.over()
        print(faults.figures(f"faults of the network; exit codes {team.ended}"))
        check(team, finish(team))
