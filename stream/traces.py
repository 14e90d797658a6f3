"""Traces, as the wiring sees them: a unit is handed to a stage as it is, or wrapped so that its outputs are traced.

Without the setting nothing is wrapped, and nothing of OpenTelemetry is loaded (``stream/operate/spans.py``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from stream.absence import Turn
from stream.ports import Unit


class Traces:
    """No traces."""

    def unit(self, stage: str, unit: Unit) -> AbstractContextManager[Unit]:  # noqa: ARG002 - for those who trace
        """The unit as the body of a stage is to see it."""
        return nullcontext(unit)

    def turns(self, name: str, turn: Turn) -> Turn:  # noqa: ARG002 - for those who trace
        """The turns of a reader's lane, for one reading of a type."""
        return turn

    async def close(self) -> None:
        """Tell what was not told yet."""
