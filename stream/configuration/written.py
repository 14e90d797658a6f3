"""The form of topics.yaml: what an operator writes, as structs.

The JSON Schema for editors, the reference in the documentation and the check of a file all follow from these. Whether
what is written makes sense together is the business of ``checks``.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from stream.core.flows import Direction

FIRST_LINE: Final = "# yaml-language-server: $schema=./schema/topics.schema.json"
"""How a file tells an editor its form."""

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
TypeName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}\.[A-Za-z][A-Za-z0-9_-]{0,39}$")]
FlowName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,119}$")]
FieldPath: TypeAlias = Annotated[str, Meta(pattern=r"^[^.~\s]+(\.[^.~\s]+)*$", max_length=200)]
Duration: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", examples=["500ms", "30s", "5m"])]
Word: TypeAlias = str | bool | int | float
Side: TypeAlias = Literal["left", "right"]
Room: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Written(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class WrittenDate(_Written, frozen=True, kw_only=True):
    """A date on both sides, or a date-time on one of them."""

    time: Annotated[Side | UnsetType, Meta(description="The side that has a date-time: midnight in the zone.")] = UNSET
    zone: Annotated[str | UnsetType, Meta(description="A time zone, as Europe/Oslo; UTC without it.")] = UNSET


class WrittenDatetime(_Written, frozen=True, kw_only=True):
    """A date-time on both sides."""

    zone: Annotated[str | UnsetType, Meta(description="The zone of date-times without an offset; UTC without it.")] = (
        UNSET
    )


class WrittenNumber(_Written, frozen=True, kw_only=True):
    """A value that one side may hold as text."""

    text: Annotated[Side | UnsetType, Meta(description="The side that holds it as text.")] = UNSET


class WrittenDecimal(WrittenNumber, frozen=True, kw_only=True):
    """A rounded number."""

    digits: Annotated[int, Meta(ge=0, le=12, description="Digits after the point.")] = 2


class WrittenText(_Written, frozen=True, kw_only=True):
    """A text for which one side has less room."""

    left: Annotated[Room | UnsetType, Meta(description="Characters that the left side has room for.")] = UNSET
    right: Annotated[Room | UnsetType, Meta(description="Characters that the right side has room for.")] = UNSET


class WrittenAs(_Written, frozen=True, kw_only=True):
    """A conversion with its options; one of them."""

    enum: Annotated[
        dict[str, Word] | list[tuple[Word, Word]] | UnsetType, Meta(description="Word for word: {left: right, ...}.")
    ] = UNSET
    text: WrittenText | UnsetType = UNSET
    date: WrittenDate | UnsetType = UNSET
    datetime: WrittenDatetime | UnsetType = UNSET
    integer: WrittenNumber | UnsetType = UNSET
    decimal: WrittenDecimal | UnsetType = UNSET
    boolean: WrittenNumber | UnsetType = UNSET


Expression: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2000, examples=["record.status == 'won'"])]


class WrittenCreate(_Written, frozen=True, kw_only=True):
    """Forward, for some records of the left type."""

    when_linked: Annotated[
        list[Annotated[dict[FieldPath, str], Meta(min_length=1)]],
        Meta(
            min_length=1,
            description="Only a record that refers to one that is linked itself: alternatives, each a field with an id"
            " and the flow that links what it names, as {companyId: crm.companies -> trello.organizations}.",
        ),
    ]


class WrittenField(_Written, frozen=True, kw_only=True, rename={"from_": "from", "as_": "as", "set_": "set"}):
    """Two fields that mean the same."""

    from_: Annotated[FieldPath, Meta(description="The field of the left side, by path: address.city.")]
    to: Annotated[FieldPath, Meta(description="The field of the right side, by path.")]
    as_: Annotated[
        Literal["same", "text", "date", "datetime", "integer", "decimal", "boolean", "first"] | WrittenAs,
        Meta(description="How a value becomes the other side's; the same value without it."),
    ] = "same"
    reference: Annotated[
        str | UnsetType,
        Meta(
            description="The field holds an id, translated by this flow's links: asana.projects -> custompms.project."
        ),
    ] = UNSET
    required: Annotated[
        bool, Meta(description="Nothing is created without it: a create waits for the reference to be known.")
    ] = False
    direction: Annotated[
        Direction | UnsetType, Meta(description="Without it: both, as far as both fields can be written.")
    ] = UNSET
    set_: Annotated[
        bool,
        Meta(description="Both fields are lists, merged element by element; what as and reference say is of each."),
    ] = False
    when: Annotated[
        Expression | UnsetType,
        Meta(description="Only while the left record meets this CEL condition, in both directions."),
    ] = UNSET
    condition: Annotated[
        str | UnsetType,
        Meta(description="A customer's words for when the pair holds; until it is decided the pair rests."),
    ] = UNSET
    open: Annotated[
        list[str], Meta(description="What a person must decide first; the pair rests while there is anything.")
    ] = []


class WrittenFlow(_Written, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Two entity types that are kept in step."""

    from_: Annotated[TypeName, Meta(description="The left entity type: asana.tasks.")]
    to: Annotated[TypeName, Meta(description="The right entity type.")]
    name: Annotated[FlowName | UnsetType, Meta(description="<from>~<to> without it. Links belong to this name.")] = (
        UNSET
    )
    when: Annotated[
        Expression | UnsetType,
        Meta(
            description="Only left records that meet this CEL condition: record.status == 'won'. One that meets it no"
            " longer is left alone until it does."
        ),
    ] = UNSET
    create: Annotated[
        Literal["forward", "both", "never"] | WrittenCreate,
        Meta(description="forward: a record of the left type without a twin gets one on the right; both: also back."),
    ] = "never"
    match: Annotated[
        list[Annotated[dict[FieldPath, FieldPath], Meta(min_length=1)]],
        Meta(description="Alternatives; in each, fields of the left and of the right that must all be equal."),
    ] = []
    fields: Annotated[
        list[WrittenField], Meta(description="Which fields mean the same. Others are never touched.")
    ] = []
    together: Annotated[
        list[Annotated[list[FieldPath], Meta(min_length=2)]],
        Meta(description="Left fields that are one thing, as street and city: edited, won, lost and written together."),
    ] = []
    delete: Annotated[
        Literal["keep", "archive", "delete"],
        Meta(description="What becomes of a record whose twin was deleted. keep: nothing but a report."),
    ] = "keep"
    ours: Annotated[bool, Meta(description="The fields are our choice; the customer left them open.")] = False
    source: Annotated[
        list[str], Meta(description="Where customers' documents say this: <file>:<line>#<sum of the statement>.")
    ] = []
    condition: Annotated[
        str | UnsetType,
        Meta(description="A customer's words for the records that are meant; until it is decided the flow rests."),
    ] = UNSET
    open: Annotated[
        list[str], Meta(description="What a person must decide first; the flow rests while there is anything.")
    ] = []


class WrittenTopic(_Written, frozen=True, kw_only=True):
    """An entity type that is read."""

    poll: Annotated[Duration, Meta(description="How often it is read.")] = "30s"


class WrittenSystem(Struct, frozen=True, kw_only=True):
    """A system: its connector, and the connector's settings beside it."""

    connector: Annotated[
        str, Meta(min_length=1, description="A connector's name, or the path of a declaration (.yaml).")
    ]


class WrittenWeb(_Written, frozen=True, kw_only=True):
    """The page and the end points for monitoring, served by the worker."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}$",
            description="Address and port. Anything but this machine alone needs a token. Port 0 takes a free one.",
        ),
    ] = "127.0.0.1:8900"
    token: Annotated[str | UnsetType, Meta(description="A secret that opens the page and /metrics.")] = UNSET
    write_token: Annotated[
        str | UnsetType,
        Meta(description="A secret that opens the page for changes too; without it there are none."),
    ] = UNSET
    hosts: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}$")]],
        Meta(description="Names under which browsers may ask for it, besides addresses and localhost."),
    ] = []
    topic_link: Annotated[
        str,
        Meta(
            description="Where a browser of the log, such as Kafbat UI, shows a record: an address with {topic}, and "
            "{partition} and {offset}. The page links to it."
        ),
    ] = ""


class WrittenTraces(_Written, frozen=True, kw_only=True):
    """Traces of OpenTelemetry, for a share of all changes; wants the extra: pip install 'linkstream[otel]'."""

    to: Annotated[
        str,
        Meta(pattern=r"^https?://[^\s@]+$", description="Where a collector takes them: OTLP over HTTP."),
    ] = "http://127.0.0.1:4318/v1/traces"
    sample: Annotated[float, Meta(ge=0, le=1, description="The share of changes that are traced: 1 for all.")] = 0.01


class WrittenBroker(_Written, frozen=True, kw_only=True):
    """A Kafka cluster as the log, and how to get in."""

    kafka: Annotated[str, Meta(min_length=1, description="host:port of one or more brokers, with commas between.")]
    prefix: Annotated[str, Meta(description="Before the names of topics, the group and transactional ids.")] = ""
    state: Annotated[str, Meta(description="A folder for local copies of rows; nothing is lost with it.")] = ""
    replication: Annotated[
        Annotated[int, Meta(ge=1, le=9)] | None, Meta(description="Copies of each topic that is created.")
    ] = None
    compression: Annotated[
        Literal["zstd", "gzip", "snappy", "lz4", "none"], Meta(description="Of the batches that we write.")
    ] = "zstd"
    instance: Annotated[str, Meta(description="A fixed name of this worker: a restart moves no partitions.")] = ""
    session: Annotated[
        Annotated[float, Meta(ge=1)] | None, Meta(description="Seconds of silence until others take over.")
    ] = None
    timeout: Annotated[Annotated[float, Meta(ge=1)] | None, Meta(description="Seconds that a request may take.")] = None
    transaction: Annotated[
        Annotated[float, Meta(ge=1)] | None, Meta(description="Seconds that a transaction may stay open.")
    ] = None
    largest: Annotated[
        Annotated[int, Meta(ge=1000)] | None, Meta(description="Bytes of the largest record the brokers take.")
    ] = None
    tls: Annotated[bool | None, Meta(description="Whether to speak TLS; with a file below we do.")] = None
    ca: Annotated[str, Meta(description="File of certificates (PEM) of who may have signed the brokers' own.")] = ""
    certificate: Annotated[str, Meta(description="File of our certificate (PEM), where brokers ask for one.")] = ""
    key: Annotated[str, Meta(description="File of its key (PEM).")] = ""
    key_password: Annotated[str, Meta(description="Password of that key, as ${KEY_PASSWORD}.")] = ""
    mechanism: Annotated[
        Literal["plain", "scram-sha-256", "scram-sha-512", "oauthbearer", ""],
        Meta(description="How we log in; with a user scram-sha-512, with a token oauthbearer, else not at all."),
    ] = ""
    user: Annotated[str, Meta(description="Who we are.")] = ""
    password: Annotated[str, Meta(description="And that it is us, as ${KAFKA_PASSWORD}.")] = ""
    token_file: Annotated[str, Meta(description="File with a token that something else keeps fresh.")] = ""

    @property
    def url(self) -> str:
        """The same in one line."""
        said = {name: getattr(self, name) for name in self.__struct_fields__ if name != "kafka"}
        options = {
            name: str(value).lower() if value is True or value is False else value for name, value in said.items()
        }
        return f"kafka://{self.kafka}?{urlencode({name: v for name, v in options.items() if v not in ('', None)})}"


class WrittenTopology(_Written, frozen=True, kw_only=True):
    """Which systems there are, which of their entity types are read, and which flows keep them in step.

    Every text outside of flows may hold ${NAME}, ${NAME:-default} or ${file:/run/secrets/name}.
    """

    broker: Annotated[
        Annotated[str, Meta(min_length=1)] | WrittenBroker,
        Meta(
            description="Where records are kept: sqlite:///path/to/file.db (for an absolute path with four slashes), "
            "or kafka://host:9092, or a mapping that says how to get into a Kafka cluster.",
        ),
    ] = "sqlite:///var/linkstream.db"
    partitions: Annotated[
        int, Meta(ge=1, le=1024, description="Partitions of every topic. Cannot be changed once there are records.")
    ] = 4
    resync: Annotated[
        Duration, Meta(description="How often all rows tell everything anew, a few at a time; 1m or more.")
    ] = "24h"
    web: Annotated[
        WrittenWeb | None,
        Meta(description="The page, /metrics and health. Without it there are none."),
    ] = None
    traces: Annotated[
        WrittenTraces | None,
        Meta(description="Traces from the page that was read to the last write. Without it there are none."),
    ] = None
    systems: Annotated[
        dict[Name, WrittenSystem],
        Meta(description="By name. Of two edits in the same microsecond, that of the later system here wins."),
    ]
    topics: Annotated[dict[TypeName, WrittenTopic | None], Meta(description="Entity types by <system>.<type>.")]
    flows: Annotated[list[WrittenFlow], Meta(description="What is kept in step.")] = []


def seconds(duration: str) -> float:
    """The seconds of a duration that has the right form."""
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", duration).groups()  # type: ignore[union-attr]  # Duration's form
    return float(number) * _UNITS[unit]


def schema() -> dict[str, Any]:
    """The form as JSON Schema (2020-12)."""
    made = msgspec.json.schema(WrittenTopology)
    for struct in made["$defs"].values():
        struct["description"] = inspect.cleandoc(struct.get("description", ""))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "topics.yaml", **made}


def schema_text() -> str:
    """The form as it stands in ``schema/topics.schema.json``."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
