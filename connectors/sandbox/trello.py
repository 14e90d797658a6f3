"""Trello as its REST API 1 behaves, as far as linkstream uses it: plain-text refusals, slugs, feeds, rate headers.

Quirks kept on purpose: a workspace's name is a slug, rewritten without a word; card pages are unordered; feeds come
newest first, 50 unless asked for more, and never show that a comment was edited; of a deleted card they tell ids only;
people's addresses are hidden from others; there is no Retry-After, but a remaining count with every answer; a batch
answers each part with its own status; nothing is compared before a write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from connectors.fields import write_time
from connectors.sandbox.faults import json
from connectors.sandbox.server import AUTHOR, SENT, Problem, World
from connectors.sandbox.table import Row
from connectors.sandbox.trello_door import TrelloDoor
from connectors.sandbox.trello_rules import (
    CARD_CREATE,
    CARD_UPDATE,
    INVITATION,
    ORGANIZATION,
    TEXT,
    check,
    ids,
    moment,
    slug,
    window,
)
from connectors.sandbox.trello_store import Store

_MESSAGES = {
    400: "invalid value",
    401: "invalid token",
    403: "forbidden",
    404: "The requested resource was not found.",
    405: "Cannot use this method here.",
}
_USUAL, _LARGEST, _BATCH = 50, 1000, 10


class Trello(Store):
    """The system: its calls, over what there is."""

    prefix = "/1"
    lag = 0.0
    """Seconds after which an action appears in the feeds."""
    large = _LARGEST
    """A list of more cards than this is refused as too large."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._world = world
        self.door = TrelloDoor()
        self.settings = {"list": self.list, "card": self.card}

    def routes(self) -> list[web.RouteDef]:
        """List the calls."""
        at, organization, card = self.prefix, "/organizations/{id}", "/cards/{id}"
        return [
            web.get(f"{at}/members/me/organizations", self._mine("organization")),
            web.get(f"{at}/members/me/boards{{slash:/?}}", self._mine("board")),
            web.post(f"{at}/organizations", self._create_organization),
            web.get(f"{at}{organization}", self._one("organization")),
            web.put(f"{at}{organization}", self._update_organization),
            web.delete(f"{at}{organization}", self._delete("organization")),
            web.get(f"{at}{organization}/members", self._members),
            web.put(f"{at}{organization}/members", self._invite),
            web.delete(f"{at}{organization}/members/{{member}}", self._leave),
            web.get(f"{at}{organization}/boards", self._boards),
            web.get(f"{at}/boards/{{id}}", self._one("board")),
            web.delete(f"{at}/boards/{{id}}", self._delete("board")),
            web.get(f"{at}/boards/{{id}}/lists", self._board_lists),
            web.get(f"{at}/boards/{{id}}/cards/{{filter:[a-z]*}}", self._cards),
            web.get(f"{at}/lists/{{id}}", self._one("list")),
            web.get(f"{at}/lists/{{id}}/cards", self._listed),
            web.get(f"{at}/boards/{{id}}/actions", self._feed),
            web.post(f"{at}/cards", self._create_card),
            web.get(f"{at}{card}", self._one("card")),
            web.put(f"{at}{card}", self._update_card),
            web.put(f"{at}{card}/{{field:name|desc|closed|due|start|dueComplete|idList|pos}}", self._update_card),
            web.delete(f"{at}{card}", self._delete("card")),
            web.get(f"{at}{card}/actions", self._comments),
            web.post(f"{at}{card}/actions/comments", self._comment),
            web.get(f"{at}/actions/{{id}}", self._one("action")),
            web.put(f"{at}/actions/{{id}}", self._edit_comment),
            web.delete(f"{at}/actions/{{id}}", self._delete("action")),
            web.delete(f"{at}/cards/{{card}}/actions/{{id}}/comments", self._delete("action")),
            web.get(f"{at}/batch", self._batch),
        ]

    def problem(self, status: int) -> Any:
        """Answer the body for a refusal: text, but for one."""
        if status == 429:  # noqa: PLR2004 - too many requests
            return {"error": "API_TOKEN_LIMIT_EXCEEDED", "message": "Rate limit exceeded"}
        return _MESSAGES.get(status, "error")

    # reading

    def _mine(self, type: str) -> Callable[[web.Request], Any]:
        async def index(request: web.Request) -> web.Response:
            rows = self.tables[type].rows()
            if type == "organization":
                me = self.people[request[AUTHOR]]
                rows = [row for row in rows if me in self.memberships[row.record["id"]]]
            return json([row.record for row in rows])

        return index

    def _one(self, type: str) -> Callable[[web.Request], Any]:
        async def show(request: web.Request) -> web.Response:
            return json(self._row(type, request).record)

        return show

    async def _members(self, request: web.Request) -> web.Response:
        organization = self._row("organization", request).record["id"]
        rows = (self.tables["member"].get(id) for id in self.memberships[organization])
        return json([self._shown_member(row, request) for row in rows if row is not None])

    def _shown_member(self, row: Row, request: web.Request) -> dict[str, Any]:
        own = row.record["id"] == self.people[request[AUTHOR]]
        return row.record if own else {name: value for name, value in row.record.items() if name != "email"}

    async def _boards(self, request: web.Request) -> web.Response:
        organization = self._row("organization", request).record["id"]
        return json([one.record for one in self.tables["board"].rows() if one.record["idOrganization"] == organization])

    async def _board_lists(self, request: web.Request) -> web.Response:
        ids = self._lists_of(self._row("board", request).record["id"])
        rows = [row for id in ids if (row := self.tables["list"].get(id)) is not None]
        wanted = request.query.get("filter", "open")
        return json([row.record for row in rows if wanted == "all" or row.record["closed"] == (wanted == "closed")])

    async def _cards(self, request: web.Request) -> web.Response:
        board, wanted = self._row("board", request).record["id"], request.match_info["filter"]
        wanted = wanted or request.query.get("filter", "visible")
        if wanted not in {"all", "open", "closed", "visible"}:
            raise Problem(400, "invalid value for filter")
        rows = [row for row in self.tables["card"].rows() if row.record["idBoard"] == board]
        rows = [row for row in rows if wanted == "all" or row.record["closed"] == (wanted == "closed")]
        size = request.query.get("limit")
        found = window(rows, request, int(size) if size else len(rows), largest=_LARGEST)
        if len(found) > self.large:
            body = {"error": "API_TOO_MANY_CARDS_REQUESTED", "message": "Requested too many cards, please use paging"}
            raise Problem(429, body)
        return json(sorted((row.record for row in found), key=lambda card: str(card["id"])[::-1]))

    async def _listed(self, request: web.Request) -> web.Response:
        home = self._row("list", request).record["id"]
        return json([row.record for row in self.tables["card"].rows() if row.record["idList"] == home])

    async def _comments(self, request: web.Request) -> web.Response:
        card = self._row("card", request).record["id"]
        wanted = request.query.get("filter", "commentCard,updateCard:idList").split(",")
        rows = [row.record for row in self.tables["action"].rows() if row.record["data"]["card"]["id"] == card]
        return json([record for record in reversed(rows) if record["type"] in wanted])

    async def _feed(self, request: web.Request) -> web.Response:
        board = self._row("board", request).record["id"]
        visible = self._world.clock() - round(self.lag * 1_000_000)
        rows = [row for row in self.tables["action"].rows() if row.record["data"]["board"]["id"] == board]
        wanted = request.query.get("filter", "all").split(",")
        rows = [row for row in rows if wanted == ["all"] or row.record["type"] in wanted]
        rows = [row for row in rows if row.created <= visible]
        found = window(rows, request, int(request.query.get("limit", _USUAL)), largest=_LARGEST)
        return json([row.record for row in reversed(found)])

    async def _batch(self, request: web.Request) -> web.Response:
        paths = request.query.get("urls", "").split(",")
        if not 1 <= len(paths) <= _BATCH:
            raise Problem(400, "invalid value for urls")
        answers: list[Any] = []
        for path in paths:
            found = re.fullmatch(r"/cards/(\w+)", path)
            row = self.tables["card"].get(found[1]) if found else None
            gone = {"message": _MESSAGES[404], "name": "Error", "statusCode": 404}
            answers.append({"200": row.record} if row is not None else gone)
        return json(answers)

    # writing

    async def _create_organization(self, request: web.Request) -> web.Response:
        sent = self._checked(request, ORGANIZATION, needed=("displayName",))
        made = self._free(slug(sent.get("name") or sent["displayName"]))
        everybody = dict.fromkeys((self.people[request[AUTHOR]], *self.people.values()))  # as this company wants it
        id = self._found(sent["displayName"], made, self._world.now(), tuple(everybody))
        row = self.tables["organization"].get(id)
        assert row is not None
        row.record |= {name: sent[name] for name in ("desc", "website") if name in sent}
        self._world.note(request, "create", "organization", id, None, row.record)
        return json(row.record)

    async def _update_organization(self, request: web.Request) -> web.Response:
        row = self._row("organization", request)
        sent = self._checked(request, ORGANIZATION)
        if "name" in sent:
            sent["name"] = slug(sent["name"])
            if sent["name"] != row.record["name"] and self._free(sent["name"]) != sent["name"]:
                raise Problem(400, "invalid value for name: it is taken")
        return json(self._change(request, "organization", row, sent))

    async def _invite(self, request: web.Request) -> web.Response:
        organization = self._row("organization", request)
        sent = self._checked(request, INVITATION, needed=("email", "fullName"))
        known = [one for one in self.tables["member"].rows() if one.record["email"] == sent["email"]]
        id = known[0].record["id"] if known else self._person(sent["fullName"], self._world.now(), sent["email"])
        if id not in self.memberships[organization.record["id"]]:
            self.memberships[organization.record["id"]][id] = None
            row = self.tables["member"].get(id)
            self._world.note(request, "create", "member", id, None, row.record if row else None)
        rows = (self.tables["member"].get(one) for one in self.memberships[organization.record["id"]])
        members = [self._shown_member(one, request) for one in rows if one is not None]
        return json({**organization.record, "members": members})

    async def _leave(self, request: web.Request) -> web.Response:
        members, id = self.memberships[self._row("organization", request).record["id"]], request.match_info["member"]
        if id not in members:
            raise Problem(404, "member not found")
        del members[id]
        row = self.tables["member"].get(id)
        self._world.note(request, "delete", "member", id, row.record if row else None, None)
        return json({})

    async def _create_card(self, request: web.Request) -> web.Response:
        sent = self._checked(request, CARD_CREATE, needed=("idList",))
        card = self._add_card(sent, self._world.now(), self.people[request[AUTHOR]])
        self._world.note(request, "create", "card", card["id"], None, card)
        return json(card)

    async def _update_card(self, request: web.Request) -> web.Response:
        row = self._row("card", request)
        before, sent = row.record, self._checked(request, CARD_UPDATE)
        home = self.tables["list"].get(sent.get("idList", "")) if "idList" in sent else None
        if home is not None:
            sent["idBoard"] = home.record["idBoard"]
        elif sent.get("idBoard", before["idBoard"]) != before["idBoard"]:
            sent["idList"] = self._lists_of(sent["idBoard"])[0]
        old = {name: before.get(name) for name, value in sent.items() if before.get(name) != value}
        if old:
            self._change(request, "card", row, {**sent, "dateLastActivity": write_time(self._world.now())})
            me = self.people[request[AUTHOR]]
            if "idBoard" in old:
                self._act("moveCardFromBoard", before, self._world.now(), me)
            self._act(
                "moveCardToBoard" if "idBoard" in old else "updateCard", row.record, self._world.now(), me, old=old
            )
        return json(row.record)

    async def _comment(self, request: web.Request) -> web.Response:
        card = self._row("card", request)
        text, me = self._checked(request, TEXT, needed=("text",))["text"], self.people[request[AUTHOR]]
        action = self._act("commentCard", card.record, self._world.now(), me, text=text)
        card.record = {**card.record, "dateLastActivity": action["date"]}
        self._world.note(request, "create", "action", action["id"], None, action)
        return json(action)

    async def _edit_comment(self, request: web.Request) -> web.Response:
        row = self._row("action", request)
        if row.record["type"] != "commentCard":
            raise Problem(400, "Only comment actions can be updated")
        edited = {"text": self._checked(request, TEXT, needed=("text",))["text"]}
        edited["dateLastEdited"] = write_time(self._world.now())
        return json(self._change(request, "action", row, {"data": {**row.record["data"], **edited}}))

    def _delete(self, type: str) -> Callable[[web.Request], Any]:
        async def delete(request: web.Request) -> web.Response:
            row = self._row(type, request)
            if type == "action" and row.record["type"] != "commentCard":
                raise Problem(400, "Only comment actions can be deleted")
            self.tables[type].drop(row.record["id"])
            if type == "card":
                self._act("deleteCard", row.record, self._world.now(), self.people[request[AUTHOR]])
            self._world.note(request, "delete", type, row.record["id"], row.record, None)
            return json({})

        return delete

    def _change(self, request: web.Request, type: str, row: Row, fields: dict[str, Any]) -> dict[str, Any]:
        before, after = row.record, {**row.record, **fields}
        if after != before:
            self.tables[type].put(before["id"], after, self._world.now())
            self._world.note(request, "update", type, before["id"], before, after)
        return after

    def _checked(self, request: web.Request, rules: dict[str, str], needed: tuple[str, ...] = ()) -> dict[str, Any]:
        sent = request.get(SENT)
        if isinstance(sent, dict) and "field" in request.match_info:  # one field by its own address: an old way in
            sent = {request.match_info["field"]: sent.get("value")}
        if not isinstance(sent, dict):
            raise Problem(
                400, "invalid JSON" if request.body_exists else f"{needed[0] if needed else 'value'} is required"
            )
        said = check(rules, sent, needed) or self._dangling(sent)
        if said:
            raise Problem(400, said)
        return {name: moment(name, value) for name, value in sent.items() if rules[name] != "nothing?"}

    def _dangling(self, sent: dict[str, Any]) -> str | None:
        """Say which id leads nowhere."""
        for name, type in (("idList", "list"), ("idBoard", "board")):
            if name in sent and sent[name] not in self.tables[type]:
                return f"invalid value for {name}"
        strangers = [id for id in ids(sent.get("idMembers")) if id not in self.tables["member"]]
        return "invalid value for idMembers" if strangers else None

    def _row(self, type: str, request: web.Request) -> Row:
        id = request.match_info["id"]
        row = self.tables[type].get(id)
        if row is None and type == "organization":
            row = next((one for one in self.tables[type].rows() if one.record["name"] == id), None)
        if row is None:
            known = re.fullmatch(r"[0-9a-f]{24}", id) or type == "organization"
            raise Problem(404, f"{type} not found") if known else Problem(400, "invalid id")
        return row
