"""Flows and pairs that rest: a person must decide something first, and until then nothing is kept in step by them.

They stand in the file so that nothing a customer said is lost, and are not looked at any further: their systems need
not be there yet. Two things make them rest: ``open`` lists what is to be decided; ``condition`` holds a customer's
words, and rests until the same is said in a form that can be evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import UNSET
from msgspec.structs import replace

from stream.configuration.form import Parts
from stream.configuration.written import WrittenCreate, WrittenField, WrittenFlow

Resting: TypeAlias = Mapping[str, tuple[str, ...]]
"""Why something rests, by its name: ``asana.tasks~trello.cards``, or ``asana.tasks~trello.cards: name ~ name``."""


def reasons(written: WrittenFlow | WrittenField) -> tuple[str, ...]:
    """Why a flow or a pair rests; nothing if it does not."""
    decided = written.when is not UNSET or isinstance(getattr(written, "create", None), WrittenCreate)
    words = () if written.condition is UNSET or decided else (f"condition: {written.condition}",)
    return (*written.open, *words)


def awake(parts: Parts) -> tuple[Parts, Resting]:
    """The parts without the flows that rest, and why they do; pairs that rest stay where they are counted."""
    resting: dict[str, tuple[str, ...]] = {}
    for flow in parts.flows.values():
        name = f"{flow.from_}~{flow.to}" if flow.name is UNSET else flow.name
        if why := reasons(flow):
            resting[name] = why
            continue
        for field in flow.fields:
            if why := reasons(field):
                resting[f"{name}: {field.from_} ~ {field.to}"] = why
    flows = {index: flow for index, flow in parts.flows.items() if not reasons(flow)}
    return replace(parts, flows=flows), resting
