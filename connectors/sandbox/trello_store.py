"""What there is in a Trello: workspaces with their members, boards with their lists, cards, and what happened.

Here is no HTTP: records come to be, ids are given out, and every action on a card is written down as Trello does.
"""

from __future__ import annotations

import itertools
from typing import Any

from connectors.fields import write_time
from connectors.sandbox.company import company
from connectors.sandbox.server import TOKENS, World
from connectors.sandbox.table import Table
from connectors.sandbox.trello_rules import slug

_DAY, _MINUTE = 86_400_000_000, 60_000_000
_FOUNDED = 1_577_836_800_000_000  # 2020: what was there from the first has the same ids in every run
_BADGES = {"comments": 0, "attachments": 0, "checkItems": 0, "checkItemsChecked": 0}


class Store:
    """A workspace as a company has it, and whatever is added to it."""

    def __init__(self, world: World) -> None:
        self._now = world.now
        self.tables = {name: Table() for name in ("organization", "member", "board", "list", "card", "action")}
        self.memberships: dict[str, dict[str, None]] = {}
        """The members of each workspace."""
        self._numbers = itertools.count(1)
        then = min(world.now() - 2 * _DAY, _FOUNDED)
        self.people = {name: self._person(name, then) for name in (*TOKENS.values(), "Åse Bråten")}
        self.organization = self._found("Fjordbygg AS", "fjordbygg", then, tuple(self.people.values()))
        self.board = self.add_board("Oppgaver", then)
        self.list = self._lists_of(self.board)[0]
        fields = {"idList": self.list, "name": "Meldinger", "desc": "Det som ikke hører til noe annet kort."}
        self.card = self._add_card(fields, then, self.people["Kari Nordmann"])["id"]

    def seed(self, count: int, seed: int) -> None:
        """Fill the workspace: a board for each project, a card for each task; a day old and older."""
        made = company(count, seed)
        times = (self._now() - _DAY - age * _MINUTE for age in range(len(made.projects) + count, 0, -1))
        boards = [self.add_board(project.name, next(times), project.notes) for project in made.projects]
        for task in made.tasks:
            lists = self._lists_of(boards[task.project])
            due = f"{task.due.isoformat()}T15:00:00.000Z" if task.due else None
            fields = {"name": task.name, "desc": task.notes, "due": due, "dueComplete": task.done}
            home = {"idList": lists[-1] if task.done else lists[0]}
            self._add_card({**fields, **home}, next(times), self.people["Kari Nordmann"])

    def add_board(self, name: str, now: int, desc: str = "") -> str:
        """Add a board with three lists."""
        id = self._id(now)
        record = {"id": id, "name": name, "desc": desc, "closed": False, "idOrganization": self.organization}
        record["url"] = f"https://trello.com/b/{id[-8:]}"
        self.tables["board"].put(id, {**record, "dateLastActivity": None}, now)
        for place, title in enumerate(("Å gjøre", "Pågår", "Ferdig"), 1):
            made = {"name": title, "closed": False, "idBoard": id, "pos": 16384 * place}
            one = self._id(now)
            self.tables["list"].put(one, {"id": one, **made}, now)
        return id

    def _lists_of(self, board: str) -> list[str]:
        return [row.record["id"] for row in self.tables["list"].rows() if row.record["idBoard"] == board]

    def _add_card(self, fields: dict[str, Any], now: int, author: str) -> dict[str, Any]:
        home = self.tables["list"].get(fields["idList"])
        id, number = self._id(now), len(self.tables["card"]) + 1
        board = home.record["idBoard"] if home else None
        card = {"id": id, "idShort": number, "shortLink": id[-8:], "url": f"https://trello.com/c/{id[-8:]}/{number}"}
        card |= {"shortUrl": f"https://trello.com/c/{id[-8:]}"}
        card |= {"name": "", "desc": "", "closed": False, "due": None, "start": None, "dueComplete": False}
        card |= {
            "idMembers": [],
            "idLabels": [],
            "labels": [],
            "idChecklists": [],
            "pos": 65536 * number,
            "badges": dict(_BADGES),
        }
        card |= {"address": None, "locationName": None, "coordinates": None}
        card |= {**fields, "idBoard": board, "dateLastActivity": write_time(now)}
        self.tables["card"].put(id, card, now)
        self._act("createCard", card, now, author)
        return card

    def _act(self, kind: str, card: dict[str, Any], now: int, author: str, **more: Any) -> dict[str, Any]:
        """Write down what happened; of a deleted card its ids are all that stays."""
        known = ("id", "idShort") if kind == "deleteCard" else ("id", "idShort", "name", "shortLink")
        board, home = self.tables["board"].get(card["idBoard"]), self.tables["list"].get(card["idList"])
        data: dict[str, Any] = {"card": {name: card[name] for name in known}, "board": {"id": card["idBoard"]}, **more}
        if board is not None:
            data["board"]["name"] = board.record["name"]
            board.record = {**board.record, "dateLastActivity": write_time(now)}
        if home is not None:
            data["list"] = {"id": home.record["id"], "name": home.record["name"]}
        member = self.tables["member"].get(author)
        who = {name: member.record[name] for name in ("id", "fullName", "username", "initials")} if member else {}
        action: dict[str, Any] = {"id": self._id(now), "type": kind, "date": write_time(now), "idMemberCreator": author}
        action |= {"memberCreator": who, "data": data}
        self.tables["action"].put(str(action["id"]), action, now)
        return action

    def _person(self, name: str, now: int, email: str | None = None) -> str:
        id, known = self._id(now), slug(name.lower())
        record = {"id": id, "fullName": name, "username": known, "initials": "".join(part[0] for part in name.split())}
        record |= {"email": email or f"{known}@fjordbygg.example", "url": f"https://trello.com/{known}"}
        self.tables["member"].put(id, {**record, "confirmed": email is None, "memberType": "normal"}, now)
        return id

    def _found(self, title: str, name: str, now: int, members: tuple[str, ...]) -> str:
        id = self._id(now)
        record = {"id": id, "name": name, "displayName": title.strip(), "desc": "", "website": None}
        self.tables["organization"].put(id, {**record, "url": f"https://trello.com/w/{name}"}, now)
        self.memberships[id] = dict.fromkeys(members)
        return id

    def _free(self, name: str) -> str:
        taken = {row.record["name"] for row in self.tables["organization"].rows()}
        name = name if len(name) >= 3 else f"{name}workspace"  # noqa: PLR2004 - the shortest slug there is
        return next(
            one for one in itertools.chain((name,), (f"{name}{n}" for n in itertools.count(1))) if one not in taken
        )

    def _id(self, now: int) -> str:
        return f"{now // 1_000_000:08x}{next(self._numbers):016x}"
