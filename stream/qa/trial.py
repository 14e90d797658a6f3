"""One statement is tried: the scenarios of the checklist, played on the stand by a tester.

A trial goes through phases together with all others, because a worker is killed for all of them at once: *prepare*
(before there is a worker), *link*, *edits*, *kill* (while it is dead) and *recovered*, *quiet*, *removal*. Each trial
has records of its own; where a system lets nobody make any, it takes a pair that is there already.
"""

from __future__ import annotations

import asyncio

from connectors.errors import ConnectorError, Missing
from stream.core.flows import Flow, Pair
from stream.core.paths import getter
from stream.model import Ref, Value, type_of
from stream.qa import checklist
from stream.qa.checklist import Result, Statement, Verdict, ordered
from stream.qa.stand import Stand
from stream.qa.tester import Expected, Side, Tester, is_writable
from stream.qa.values import same


class Trial:
    """One flow on the stand."""

    def __init__(self, flow: Flow, stand: Stand) -> None:
        self.flow = flow
        self.stand = stand
        self.tester = Tester(flow, stand)
        self.results: list[Result] = []
        self.matching: tuple[Ref, Ref] | None = None
        self.pair: tuple[Ref, Ref] | None = None
        """The linked records that edits are tried on."""
        self.dead: list[Expected] = []
        self.unmade = ""
        """Why the tester cannot make a record on the left."""

    @property
    def statement(self) -> Statement:
        """What came of it."""
        flow = self.flow
        return Statement(
            name=flow.name,
            left=flow.left,
            right=flow.right,
            ours=flow.ours,
            results=ordered(self.results),
            count=max(1, len(flow.source)),
        )

    def note(self, check: str, verdict: Verdict, reason: str = "", *, field: str = "", seconds: float = 0.0) -> None:
        """Write a line of the checklist."""
        self.results.append(
            Result(statement=self.flow.name, check=check, field=field, verdict=verdict, reason=reason, seconds=seconds)
        )

    def judge(self, check: str, problem: str, *, field: str = "", seconds: float | None = 0.0) -> None:
        """Passed if there is no problem."""
        self.note(check, "failed" if problem else "passed", problem, field=field, seconds=seconds or 0.0)

    # Before there is a worker

    async def prepare(self) -> None:
        """Make a record on either side that match each other."""
        if not self.flow.match:
            return
        try:
            self.matching = await self._two_alike()
        except ConnectorError as error:
            self.unmade = str(error)

    async def _two_alike(self) -> tuple[Ref, Ref] | None:
        """Make both records; or, where nobody can make one, the other one like one that was there."""
        flow, stand = self.flow, self.stand
        try:
            left = await self.tester.make(flow.left, left=True)
        except ConnectorError as error:
            self.unmade = str(error)
            there = await stand.some(flow.left)
            if there is None:
                return None
            return f"{flow.left}:{there.id}", await self.tester.make(flow.right, left=False, alike=there.record)
        try:
            return left, await self.tester.make(flow.right, left=False, alike=(await stand.read(left)).record)
        except ConnectorError as error:
            self.unmade = str(error)
            there = await stand.some(flow.right)
            if there is None:
                return None
            return await self.tester.make(flow.left, left=True, alike=there.record), f"{flow.right}:{there.id}"

    # Linking

    async def link(self) -> None:
        """Link by match, and by creation; and settle on a pair for the edits."""
        await self._by_match()
        await self._by_creation()
        if self.pair is None and self.matching is not None and self.stand.twin(self.flow, self.matching[0]):
            self.pair = self.matching
        if self.pair is None:
            self._take(self.stand.pairs(self.flow))

    def _take(self, pairs: list[tuple[Ref, Ref]]) -> None:
        """Try the edits on a pair that is there and that nobody else was given."""
        taken = {*self.stand.made, *self.stand.given}
        self.pair = next((pair for pair in pairs if not taken & set(pair)), None)
        self.stand.given.update(self.pair or ())

    async def _by_match(self) -> None:
        if not self.flow.match:
            self.note(checklist.MATCH, "not applied", "the statement has no match criteria")
        elif self.matching is not None:
            left, right = self.matching
            took = await self.stand.until(lambda: self.stand.twin(self.flow, left))
            found = self.stand.twin(self.flow, left)
            problem = "" if found == right else f"{left} is linked to {found or 'nothing'}; {right} would be right"
            self.judge(checklist.MATCH, problem, seconds=took)
        else:
            await self.stand.until(lambda: self.stand.pairs(self.flow))
            matched = [pair for pair in self.stand.pairs(self.flow) if await self._matches(pair)]
            if matched:
                self.note(checklist.MATCH, "passed", f"with records that were there: {matched[0][0]}, {matched[0][1]}")
            else:
                self.note(checklist.MATCH, "not applied", self.unmade)

    async def _matches(self, pair: tuple[Ref, Ref]) -> bool:
        """Whether two linked records both were there before."""
        entities = [await self.stand.read(ref) for ref in pair]
        return all(entity.marker is None for entity in entities)

    async def _by_creation(self) -> None:
        flow = self.flow
        if flow.create == "never":
            self.note(checklist.CREATION, "not applied", "the statement only links")
            return
        try:
            left = await self.tester.make(flow.left, left=True)
        except ConnectorError as error:
            self.unmade = str(error)
            await self.stand.until(lambda: self.stand.pairs(self.flow))
            made = [pair for pair in self.stand.pairs(self.flow) if not await self._matches(pair)]
            self._take(made)
            verdict: Verdict = "passed" if made else "not applied"
            self.note(checklist.CREATION, verdict, f"of {made[0][0]}, which was there" if made else self.unmade)
            return
        took = await self.stand.until(lambda: self.stand.twin(flow, left) or self._refusal(left))
        right = self.stand.twin(flow, left)
        if right:
            self.pair = left, right
            self.judge(checklist.CREATION, await self._differs(left, right), seconds=took)
        elif self.stand.traits(flow.right).create is None or "cannot be created" in self._refusal(left):
            self.note(checklist.CREATION, "not applied", self._refusal(left))
        else:
            self.note(checklist.CREATION, "failed", self._refusal(left) or f"{left} got no counterpart")

    def _refusal(self, ref: Ref) -> str:
        row = self.stand.row(ref)
        edge = None if row is None else row.edges.get(f"{self.flow.name}/a")
        return edge.reason if edge is not None and edge.state in ("refused", "unknown") else ""

    async def _differs(self, left: Ref, right: Ref) -> str:
        """The first field in which two linked records differ, in words; empty if there is none."""
        problem = ""

        async def agree() -> bool:
            nonlocal problem
            problem = ""
            one, other = (await self.stand.read(left)).record, (await self.stand.read(right)).record
            for pair in self.flow.pairs:
                side = Side(pair, left=True)
                if pair.reference is None and side.leads and not self._excused(right, side.shows):
                    want, got = side.there(getter(pair.left)(one)), getter(pair.right)(other)
                    if not same(want, got):
                        problem = f"{pair.right}: found {got!r}; {want!r} would be right"
            return not problem

        for _ in range(round(self.stand.patience / 0.2)):
            if await agree():
                break
            await asyncio.sleep(0.2)
        return problem

    def _excused(self, ref: Ref, field: str) -> bool:
        """Whether a field does not follow because the system lets nobody write it, and that is said."""
        return not self._takes(ref, field) or "read-only" in self._why_not(ref, field)

    def _takes(self, ref: Ref, field: str) -> bool:
        return is_writable(self.stand.traits(type_of(ref)).writable, field)

    # Edits

    async def edits(self) -> None:
        """Every field, there and back; then two at once, and one on both sides."""
        if self.pair is None:
            for check in (checklist.THERE, checklist.BACK, checklist.BOTH, checklist.LATEST):
                self.note(check, "not applied", self.unmade or "no two records are linked")
            return
        for left, check in ((True, checklist.THERE), (False, checklist.BACK)):
            sides = [side for pair in self.flow.pairs if (side := Side(pair, left)).leads]
            for side in sides:
                await self._edit(check, side)
            if not sides:
                self.note(check, "not applied", "every field goes the other way only")
        await self._both()
        await self._latest()

    async def _typed(self, side: Side) -> Expected | None:
        """Type another value on one side of the pair. Raises ConnectorError."""
        assert self.pair is not None
        here, there = self.pair if side.left else reversed(self.pair)
        return await self.tester.type(side, here, there)

    async def _edit(self, check: str, side: Side) -> None:
        """Edit one field on one side, and see it on the other; or see why it cannot be applied."""
        shown = f"{side.field} -> {side.shows}"
        try:
            expected = await self._typed(side)
        except ConnectorError as error:
            self.note(check, "not applied", f"the tester cannot edit it: {error}", field=shown)
            return
        if expected is None:
            self.note(check, "not applied", "the tester knows no other value for it", field=shown)
            return
        await self._arrives(check, expected, shown)

    async def _arrives(self, check: str, expected: Expected, shown: str) -> None:
        """Wait until an edit stands on the other side, or until it is said why it does not."""
        side, target = expected.side, expected.target
        took = await self.stand.until(lambda: self._shows(expected) or self._why_not(target, side.shows))
        why = self._why_not(target, side.shows)
        if why and not self._shows(expected):
            refused = "read-only" in why or not self._takes(target, side.shows)
            verdict: Verdict = "not applied" if refused else "failed"
            self.note(check, verdict, why, field=shown)
            return
        self.judge(check, await self._wrong(expected), field=shown, seconds=took)

    def _shows(self, expected: Expected) -> bool:
        row = self.stand.row(expected.target)
        return row is not None and same(_first(row.remote.get(expected.side.shows)), expected.value)

    async def shown(self, expected: Expected) -> float | None:
        """Wait until it is so."""
        return await self.stand.until(lambda: self._shows(expected))

    def _why_not(self, ref: Ref, field: str) -> str:
        row = self.stand.row(ref)
        return "" if row is None else row.notes.get(field, "")

    async def _wrong(self, expected: Expected) -> str:
        """What the system itself shows instead of what was expected; empty if it is right."""
        try:
            record = (await self.stand.read(expected.target)).record
        except Missing:
            return f"{expected.target} is gone"
        got = _first(getter(expected.side.shows)(record))
        if same(got, expected.value):
            return ""
        return f"{expected.target}: found {got!r}; {expected.value!r} would be right"

    def two_way(self) -> list[Pair]:
        """Pairs that both sides may write, by an own word of the tester."""
        assert self.pair is not None
        left, right = self.pair
        return [
            pair
            for pair in self.flow.pairs
            if pair.direction == "both"
            and pair.reference is None
            and self._takes(left, pair.left)
            and self._takes(right, pair.right)
            and not self._why_not(left, pair.left)
            and not self._why_not(right, pair.right)
        ]

    async def _both(self) -> None:
        pairs = self.two_way()
        if len(pairs) < _TWO:
            self.note(checklist.BOTH, "not applied", "fewer than two fields can be written on both sides")
            return
        typed = await asyncio.gather(
            self._typed(Side(pairs[0], left=True)), self._typed(Side(pairs[1], left=False)), return_exceptions=True
        )
        problems = []
        for expected in typed:
            if isinstance(expected, BaseException):
                problems.append(str(expected))
            elif expected is not None:
                await self.shown(expected)
                problems.append(await self._wrong(expected))
        self.judge(checklist.BOTH, "; ".join(filter(None, problems)), field=f"{pairs[0].left}, {pairs[1].right}")

    async def _latest(self) -> None:
        """The second edit is made more than a second after the first: many systems know whole seconds only."""
        pairs = self.two_way()
        if not pairs:
            self.note(checklist.LATEST, "not applied", "no field can be written on both sides")
            return
        pair = pairs[0]
        try:
            await self._typed(Side(pair, left=True))
            await asyncio.sleep(_APART)
            expected = await self._typed(Side(pair, left=False))
        except ConnectorError as error:
            self.note(checklist.LATEST, "not applied", f"the tester cannot edit it: {error}", field=pair.left)
            return
        if expected is None:
            self.note(checklist.LATEST, "not applied", "the tester knows no other value for it", field=pair.left)
            return
        took = await self.stand.until(lambda: self._shows(expected))
        self.judge(checklist.LATEST, await self._wrong(expected), field=pair.left, seconds=took)

    # The kill

    async def kill(self) -> None:
        """The worker is dead: people go on, on both sides."""
        if self.pair is None:
            return
        for left, pair in zip((True, False), self.two_way()[:_TWO], strict=False):
            try:
                expected = await self._typed(Side(pair, left))
            except ConnectorError:
                continue
            if expected is not None:
                self.dead.append(expected)

    async def recovered(self) -> None:
        """A worker runs again: what was typed meanwhile must arrive."""
        if not self.dead:
            self.note(checklist.RESTART, "not applied", self.unmade or "no field can be written on both sides")
            return
        problems, longest = [], 0.0
        for expected in self.dead:
            took = await self.shown(expected)
            longest = max(longest, took or 0.0)
            problems.append(await self._wrong(expected))
        self.judge(checklist.RESTART, "; ".join(filter(None, problems)), seconds=longest)

    # Quiet

    async def quiet(self, seconds: float) -> None:
        """Nobody edits: neither echoes nor repeated polls may lead to a write."""
        refs = [ref for pair in (self.pair, self.matching) if pair is not None for ref in pair]
        if not refs:
            for check in (checklist.ECHO, checklist.POLLS):
                self.note(check, "not applied", self.unmade or "no two records are linked")
            return
        last = -1
        for _ in range(20):  # the last receipts and their echoes
            now = self.stand.commands(*refs)
            if now == last:
                break
            last = now
            await asyncio.sleep(0.5)
        echoes = self.stand.commands(*refs) - last
        self.judge(checklist.ECHO, f"{echoes} writes of what was already there" if echoes > 0 else "")
        before = self.stand.commands(*refs)
        await asyncio.sleep(seconds)
        after = self.stand.commands(*refs) - before
        self.judge(checklist.POLLS, f"{after} writes while nobody edited" if after else "")

    # Removal

    async def removal(self) -> None:
        """Delete the record on the left, and see what the flow promises."""
        pair = self.matching or self.pair
        if pair is None or pair[0] not in self.stand.made or not self.stand.twin(self.flow, pair[0]):
            self.note(checklist.DELETE, "not applied", self.unmade or "no two records are linked")
            return
        left, right = pair
        try:
            await self.stand.remove(left)
        except ConnectorError as error:
            self.note(checklist.DELETE, "not applied", str(error))
            return
        if self.flow.delete == "keep":
            await asyncio.sleep(_APART)
            self.judge(checklist.DELETE, "" if await self.stand.there(right) else f"{right} is gone; it was to be kept")
            return
        for _ in range(round(self.stand.patience / 0.5)):
            if not await self.stand.there(right):
                self.note(checklist.DELETE, "passed")
                return
            await asyncio.sleep(0.5)
        row = self.stand.row(right)
        archived = row is not None and any("archived" in edge.reason for edge in row.edges.values())
        unseen = f"{left} was deleted, and its system does not say so of itself"
        self.note(checklist.DELETE, "passed" if archived else "not applied", "" if archived else unseen)


_TWO = 2
_APART = 1.3
"""Seconds between two edits of which one is the later one, by any clock."""


def _first(value: Value) -> Value:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
