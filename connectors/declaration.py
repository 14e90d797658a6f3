"""The language of declarations: everything that can be said about a REST system without code.

A declaration is data: where lists and records are, how they are paged, which field is the id, which one says when
something changed, which one carries our marker. The structs below are the whole language; the JSON Schema for editors
and the check of files both follow from them. What the language cannot say is refused by name, never ignored: a
system that needs it needs code, or a longer language.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from connectors.budget import Limits
from connectors.fields import TimeFormat
from connectors.paging import Paging
from connectors.wire import Encoding

FieldType: TypeAlias = Literal["string", "integer", "number", "boolean", "date", "time", "object", "list", "any"]
Statuses: TypeAlias = Annotated[tuple[Annotated[int, Meta(ge=200, le=599)], ...], Meta(description="HTTP statuses")]
Word: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$", description="a name of letters")]


class _Said(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class AuthKind(_Said, frozen=True, kw_only=True):
    """Which credentials go where. What is called a setting is the name of one in topics.yaml, never a secret itself."""

    kind: Annotated[
        Literal["none", "bearer", "basic", "header", "query", "oauth2"],
        Meta(description="none; bearer: a fixed token; basic: user and secret; header, query: a key; oauth2: a grant"),
    ] = "bearer"
    secret: Annotated[str | None, Meta(description="The setting with the secret; `token`, or `client_secret`")] = None
    user: Annotated[str, Meta(description="basic: the setting with the user's name")] = "user"
    name: Annotated[str, Meta(description="header, query: what carries the key")] = "X-Api-Key"
    token: Annotated[
        str | None, Meta(description="oauth2: the token endpoint; what has no host is resolved against the url")
    ] = None
    client: Annotated[str, Meta(description="oauth2: the setting with the client's id")] = "client_id"
    refresh: Annotated[
        str | None, Meta(description="oauth2: the setting with a refresh token; without it client credentials are used")
    ] = None
    scope: Annotated[str, Meta(description="oauth2: the scopes to ask for")] = ""
    place: Annotated[Literal["header", "form"], Meta(description="oauth2: where the client names itself")] = "header"
    headers: Annotated[
        tuple[str, ...], Meta(description="oauth2: those of `headers` that the token endpoint wants too")
    ] = ()

    @property
    def setting(self) -> str:
        """The setting with the secret."""
        return self.secret or ("client_secret" if self.kind == "oauth2" else "token")


class FromSetting(_Said, frozen=True, kw_only=True):
    """A header whose value is a secret."""

    setting: Annotated[str, Meta(description="The setting with the value")]


class Errors(_Said, frozen=True, kw_only=True):
    """Where a refusal explains itself. A body that is text is the explanation."""

    message: Annotated[str | tuple[str, ...], Meta(description="Paths to words; all that are there are shown")] = (
        "message"
    )
    field: Annotated[str | None, Meta(description="The path to the fields' names, beside the words")] = None
    fields: Annotated[
        str | None, Meta(description="The path to an object that has the words by field; a text or a list each")
    ] = None


class Meanings(_Said, frozen=True, kw_only=True):
    """Statuses that mean something else here than elsewhere."""

    retry: Statuses = ()
    stale: Statuses = ()
    missing: Statuses = ()
    refused: Statuses = ()
    locked: Statuses = ()


class Operation(_Said, frozen=True, kw_only=True):
    """One request."""

    path: Annotated[
        str,
        Meta(
            pattern="^/",
            description="a path from /, below the url: {id} is the record, {<field>} its parent, {<name>} a setting; "
            "create: {marker} is our mark, where the system then makes a record or changes the one that has it",
        ),
    ]
    method: Annotated[
        Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None,
        Meta(description="Else GET for list and read, POST for create, PATCH for update, DELETE for delete"),
    ] = None
    query: Annotated[dict[str, str], Meta(description="Parameters; the same {...} as in the path")] = {}
    body: Annotated[Encoding, Meta(description="How fields are written")] = "json"
    wrap: Annotated[str | None, Meta(description="A key to put the body under, as {issue: {...}}")] = None
    defaults: Annotated[dict[str, Any], Meta(description="create: values of fields that nobody gave one")] = {}
    record: Annotated[str, Meta(description="The path in the answer to the record, or to the list")] = ""
    returns: Annotated[
        Literal["record", "id", "nothing"],
        Meta(description="What a write is answered with; what is not the record is read back"),
    ] = "record"
    success: Annotated[Statuses, Meta(description="Statuses that mean that it was done")] = (200, 201, 202, 204)
    empty: Annotated[Statuses, Meta(description="list, read: statuses without a body that mean nothing is there")] = (
        204,
    )
    whole: Annotated[bool, Meta(description="update: all of `writable` must be sent, not only what changes")] = False


class Id(_Said, frozen=True, kw_only=True):
    """The field that names a record."""

    field: str = "id"
    type: Annotated[Literal["string", "integer"], Meta(description="Its type in the system's own JSON")] = "string"


class Parent(_Said, frozen=True, kw_only=True):
    """Records that live below another one: the list is read for each parent."""

    type: Annotated[str, Meta(description="The entity type of the parents")]
    field: Annotated[Word, Meta(description="The field with the parent's id; {<field>} in a path is its value")]


class Moment(_Said, frozen=True, kw_only=True):
    """A field that holds a time."""

    field: str
    format: TimeFormat = "iso"


class Since(_Said, frozen=True, kw_only=True):
    """The parameter that asks for changes only."""

    parameter: str
    value: Annotated[str, Meta(pattern=r"\{since\}", description="its value, with {since} where the time goes")] = (
        "{since}"
    )
    bound: Annotated[
        Literal["inclusive", "exclusive"], Meta(description="Whether what changed at that very time is listed")
    ] = "inclusive"
    overlap: Annotated[
        float, Meta(ge=0, description="Seconds that every round reads again, for writes that became visible late")
    ] = 60.0
    format: TimeFormat = "iso"
    local: Annotated[bool, Meta(description="The time is written without an offset, in the zone")] = False


class Marker(_Said, frozen=True, kw_only=True):
    """The field that carries our mark. Without a filter for it, lists are searched."""

    field: str
    kind: Annotated[
        Literal["value", "line", "code"],
        Meta(
            description="value: the field is ours; line: the last line of people's text; code: a short code, where "
            "there may also be one of people"
        ),
    ] = "value"
    longest: Annotated[int, Meta(ge=29, description="code: letters that the field takes")] = 50
    filter: Annotated[str | None, Meta(description="The parameter that finds records by it")] = None
    settle: Annotated[float, Meta(ge=0, description="Seconds after which the search surely finds a new record")] = 0.0


class Key(_Said, frozen=True, kw_only=True):
    """The header under whose value the system makes a record once."""

    header: str = "Idempotency-Key"
    remembered: Annotated[float, Meta(ge=0, description="Seconds for which the system knows a key")] = 86_400.0


class Tombstone(_Said, frozen=True, kw_only=True):
    """A field that says that the record is deleted."""

    field: str
    value: Annotated[
        bool | int | str | None, Meta(description="The value that says so; without it any but null, false, 0 and empty")
    ] = None


class Field(_Said, frozen=True, kw_only=True):
    """A field with more to say than its type."""

    type: FieldType = "string"
    of: Annotated[tuple[str | int, ...], Meta(description="All values that it can have")] = ()


class Type(_Said, frozen=True, kw_only=True):
    """One entity type."""

    list: Operation
    read: Operation
    create: Operation | None = None
    update: Operation | None = None
    delete: Operation | None = None
    archive: Annotated[dict[str, Any] | None, Meta(description="Values whose writing archives a record")] = None
    id: Id = Id()
    parent: Parent | None = None
    updated: Annotated[Moment | None, Meta(description="When the record last changed")] = None
    created: Annotated[Moment | None, Meta(description="When the record was made")] = None
    since: Since | None = None
    marker: Marker | None = None
    deleted: Tombstone | None = None
    paging: Annotated[Paging | None, Meta(description="Where it differs from the system's")] = None
    fields: Annotated[
        dict[str, FieldType | Field],
        Meta(description="The fields, by path; a record that holds something else is set aside"),
    ] = {}
    writable: Annotated[tuple[str, ...] | None, Meta(description="What may be written; else everything")] = None
    required: Annotated[tuple[str, ...], Meta(description="What a create must have")] = ()
    nulls: Annotated[
        Literal["send", "omit"], Meta(description="send: null empties a field; omit: a field cannot be emptied")
    ] = "send"
    compare: Annotated[
        Literal["read", "test", "never"],
        Meta(
            description="How a write notices a change that it does not know: read the record again right before; "
            "test: that, and a JSON Patch says what it replaces; never"
        ),
    ] = "read"
    key: Annotated[Key | None, Meta(description="Creates under a key are made once, however often they are sent")] = (
        None
    )
    late: Annotated[
        float, Meta(ge=0, description="Seconds for which a create may still arrive after it was given up")
    ] = 30.0
    lag: Annotated[float, Meta(ge=0, description="Seconds by which a read may trail behind a write")] = 0.0
    unverified: Annotated[tuple[str, ...], Meta(description="What is assumed and nobody has confirmed")] = ()


class Declaration(_Said, frozen=True, kw_only=True):
    """A system: where it is, who we are there, and its entity types."""

    connector: Annotated[Word, Meta(description="The declaration's name")]
    url: Annotated[str | None, Meta(description="The address; usually a setting in topics.yaml instead")] = None
    settings: Annotated[
        dict[Word, str],
        Meta(description="More settings, each with what it is; {name} in a path, query or header is its value"),
    ] = {}
    auth: AuthKind = AuthKind()
    headers: Annotated[dict[str, str | FromSetting], Meta(description="Sent with every request")] = {}
    zone: Annotated[str, Meta(description="The time zone of times without an offset, as Europe/Oslo")] = "UTC"
    limits: Limits = Limits()
    paging: Paging = Paging()
    errors: Errors = Errors()
    statuses: Meanings = Meanings()
    types: Annotated[dict[Word, Type], Meta(min_length=1)]
    unverified: Annotated[tuple[str, ...], Meta(description="What is assumed and nobody has confirmed")] = ()


def field_type(said: Type, path: str) -> FieldType | None:
    """The declared type of a field."""
    found = said.fields.get(path)
    return found.type if isinstance(found, Field) else found
