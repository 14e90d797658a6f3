"""The twenty statements that customers began with, as one graph of flows, and the manners of their systems.

The documents leave their fields open, so the pairs are plausible ones: texts, dates, words for yes and no, references,
fields that go one way. One pair of types stands in two statements; they are one flow. ``topics.yaml`` will have all of
them; until then they stand here.
"""

from __future__ import annotations

from typing import Any, Literal

from connectors.endpoint import Traits
from stream.core.conversions import conversion
from stream.core.flows import Flow, Pair, TypeFacts
from tests.simulation.systems import Quirks

DONE = {"enum": {"done": True, "open": False}}
COMPLETED = {"enum": {True: "done", False: "open"}}


def pair(left: str, right: str, how: Any = "same", **about: Any) -> Pair:
    return Pair(left=left, right=right, conversion=conversion(how), **about)


def one_way(left: str, right: str, how: Any = "same", **about: Any) -> Pair:
    return pair(left, right, how, direction="forward", **about)


def flow(
    left: str,
    right: str,
    *pairs: Pair,
    match: str = "",
    create: Literal["forward", "never"] = "forward",
) -> Flow:
    """A flow; ``match`` names the two fields by which twins are found."""
    one, _, other = match.partition("=")
    return Flow(
        name=f"{left}~{right}",
        left=left,
        right=right,
        create=create,
        match=(((one, other),),) if match else (),
        pairs=pairs,
        ours=True,
    )


NAME = pair("name", "name")
CALLED = "name=name"
CARD = "custompms.task~trello.cards"

FLOWS = [
    # Custom PMS to Trello
    flow(
        "custompms.customer",
        "trello.organizations",
        pair("name", "displayName"),
        pair("notes", "desc", "text"),
        match="name=displayName",
    ),
    flow("custompms.project", "trello.actions", pair("description", "text", "text")),
    flow(
        CARD.partition("~")[0],
        CARD.partition("~")[2],
        pair("title", "name"),
        pair("description", "desc", "text"),
        pair("dueDate", "due", "date"),
        pair("status", "dueComplete", DONE),
        match="title=name",
    ),
    flow(
        "custompms.task",
        "trello.actions",
        pair("description", "text", "text"),
        one_way("id", "data.card.id", reference=CARD, required="b"),
    ),
    # CustomERP to Trello
    flow(
        "customerp.contact",
        "trello.members",
        pair("name", "fullName"),
        pair("title", "bio", "text"),
        match="name=fullName",
        create="never",
    ),
    flow(
        "customerp.customer",
        "trello.organizations",
        pair("name", "displayName"),
        pair("homepage", "website", "text"),
        match="name=displayName",
    ),
    flow("customerp.project", "trello.actions", pair("summary", "text", "text")),
    flow(
        "customerp.employee",
        "trello.members",
        one_way("name", "fullName"),
        match="name=fullName",
        create="never",
    ),
    # CRMOffice to Trello
    flow(
        "crmoffice.activities",
        "trello.actions",
        pair("subject", "text", "text"),
        one_way("ownerId", "memberCreator.id"),
        one_way("startsAt", "date", "date"),
    ),
    flow(
        "crmoffice.contacts",
        "trello.members",
        one_way("familyName", "fullName"),
        match="familyName=fullName",
        create="never",
    ),
    flow(
        "crmoffice.companies",
        "trello.organizations",
        pair("name", "displayName"),
        pair("postAddress.postalArea", "desc", "text"),
        match="name=displayName",
    ),
    # Asana to Custom PMS
    flow(
        "asana.tasks",
        "custompms.project",
        NAME,
        pair("notes", "description", "text"),
        pair("due_on", "endDate", "date"),
        pair("completed", "status", COMPLETED),
        match=CALLED,
    ),
    flow("asana.teams", "custompms.customer", NAME, pair("description", "notes", "text"), match=CALLED),
    flow("asana.workspaces", "custompms.customer", one_way("name", "name"), match=CALLED),
    flow(
        "asana.projects",
        "custompms.project",
        NAME,
        pair("notes", "description", "text"),
        pair("start_on", "startDate", "date"),
        pair("due_on", "endDate", "date"),
        one_way("team.gid", "customerId", reference="asana.teams~custompms.customer"),
        match=CALLED,
    ),
    flow(
        "asana.tasks",
        "custompms.task",
        pair("name", "title"),
        pair("notes", "description", "text"),
        pair("due_on", "dueDate", "date"),
        pair("completed", "status", COMPLETED),
        one_way("projects.gid", "projectId", "first", reference="asana.projects~custompms.project"),
        match="name=title",
    ),
    # PowerOffice Go to Custom PMS
    flow("powerofficego.departments", "custompms.customer", pair("Name", "name"), match="Name=name"),
    flow(
        "powerofficego.customers",
        "custompms.customer",
        pair("Name", "name"),
        pair("WebsiteUrl", "website", "text"),
        match="Name=name",
    ),
    flow(
        "powerofficego.projects",
        "custompms.project",
        pair("Name", "name"),
        pair("StartDate", "startDate", "date"),
        pair("EndDate", "endDate", "date"),
        pair("CustomerId", "customerId", reference="powerofficego.customers~custompms.customer"),
        match="Name=name",
    ),
]

TYPES = sorted({type for each in FLOWS for type in (each.left, each.right)})
INTEGERS = frozenset({"custompms", "powerofficego"})
"""Systems whose ids are numbers."""

RANKS = ("asana", "custompms", "trello", "powerofficego", "customerp", "crmoffice")
FACTS = {
    type: TypeFacts(rank=RANKS.index(type.partition(".")[0]), integer_ids=type.partition(".")[0] in INTEGERS)
    for type in TYPES
}
TRAITS = {
    type: Traits(
        id="integer" if type.partition(".")[0] in INTEGERS else "string",
        create=None if type in ("trello.members", "asana.workspaces") else 3,
    )
    for type in TYPES
}
MANNERS = {
    "custompms": Quirks(seconds=True),
    "trello": Quirks(
        undated=frozenset({"organizations", "members"}),
        ignores=frozenset({"date", "memberCreator.id"}),
        pristine=False,
    ),
    "asana": Quirks(names_modifier=True),
    "powerofficego": Quirks(trims=True),
    "customerp": Quirks(listed=True),
    "crmoffice": Quirks(listed=True, seconds=True),
}
"""What the systems do anyway."""
