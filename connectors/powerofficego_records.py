"""PowerOffice Go's records and requests as pure functions: names, numbers, markers, and patches that compare.

Names of fields come in any case and are believed in one, the documentation's. Ids are numbers there and text with
us. Codes and numbers of linked records (``DepartmentCode``) are twins of their ids and not written; the ids are. Our
marker is packed: a customer's in ``ExternalImportReference``, which Go keeps unique and nobody sees, a department's or
a project's in ``Code`` until a code is wanted there.

A change is a JSON Patch (RFC 6902) in which every value is tested before it is replaced, so Go itself notices when
somebody was faster: nothing else of the vendors' compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from connectors.endpoint import Entity, Record, Rejected, Time, Traits
from connectors.errors import Refused
from connectors.fields import ABSENT, changed_at, pick, place
from connectors.foreign import outsized
from connectors.marks import long
from connectors.parting import parted
from connectors.records import kind as kind_of
from connectors.verdicts import Verdict
from connectors.wire import Complaint, Request

Patch: TypeAlias = list[dict[str, Any]]

SHORT = 50
"""Letters of a reference or a code that carries our marker."""
CHANGED = "LastChangedDateTimeOffset"
ADDRESS = "MailAddress"
_NEVER = "0001-01-01"
"""How a time begins that is none."""
_KEPT = 100_000
_ADDRESS = ("AddressLine1", "AddressLine2", "City", "ZipCode", "CountryCode", "ExternalCode")


class Kind(Struct, frozen=True, kw_only=True):
    """One entity type: its path, the field of the marker and the filter that finds it."""

    path: str
    marker: str
    filter: str
    archived: Mapping[str, Any]
    """What an archived record holds."""
    traits: Traits


def _kind(path: str, fields: str, writable: str, *, marker: tuple[str, str], archived: dict[str, Any]) -> Kind:
    may = frozenset(writable.split())
    unique = marker[0] != "Code"
    return Kind(
        path=path,
        marker=marker[0],
        filter=marker[1],
        archived=archived,
        traits=Traits(
            id="integer",
            key="Id",
            changes="since",
            create=2 if unique else 3,
            late=30.0,
            fields=may | frozenset(fields.split()) | frozenset(name.partition(".")[0] for name in may),
            writable=may,
            required=frozenset() if unique else frozenset({"Name"}),
            remove=frozenset({"archive", "delete"}),
            unverified=(
                "a record is found by its reference or code as soon as it has been created",
                "a list in the order of LastChangedDateTimeOffset comes in that order",
                "a part of an address can be patched by itself",
            ),
        ),
    )


KINDS: Mapping[str, Kind] = {
    "departments": _kind(
        "/Departments",
        f"Id {CHANGED} CreatedDateTimeOffset ManagerEmployeeNo",
        "Code Name IsActive ManagerEmployeeId",
        marker=("Code", "codes"),
        archived={"IsActive": False},
    ),
    "customers": _kind(
        "/Customers",
        f"Id {CHANGED} Number IsActive SubledgerAccountId DepartmentCode CustomerCreatedDateTimeOffset "
        f"{ADDRESS}.Id {ADDRESS}.{CHANGED} PaymentTerm",
        "Name LegalName FirstName LastName IsPerson EmailAddress PhoneNumber WebsiteUrl OrganizationNumber "
        "InvoiceEmailAddress InvoiceDeliveryType CurrencyCode DepartmentId ExternalNumber IsArchived CustomerSince "
        "DateOfBirth PaymentTermId SalesPersonEmployeeId " + " ".join(f"{ADDRESS}.{part}" for part in _ADDRESS),
        marker=("ExternalImportReference", "externalImportReference"),
        archived={"IsArchived": True},
    ),
    "projects": _kind(
        "/Projects",
        f"Id {CHANGED} CreatedDateTimeOffset CustomerNo DepartmentCode ParentProjectCode ProjectManagerEmployeeNo",
        "Code Name CustomerId DepartmentId StartDate EndDate IsActive IsInternal IsBillable ParentProjectId "
        "ProjectManagerEmployeeId ContactPersonId ProjectStatus ExternalNumber PurchaseOrderNo ContractNo Progress",
        marker=("Code", "projectCodes"),
        archived={"ProjectStatus": "Archived"},
    ),
}

_NAMES = {
    name.lower(): name
    for kind in KINDS.values()
    for path in (*(kind.traits.fields or ()), kind.marker)
    for name in path.split(".")
}
_IN_USE = re.compile(r"already in use\..*?\bId = (\d+)")
_FIELDS = tuple(re.compile(text) for text in (r"path segment '(\w+)'", r"at path '/?(\w+)", r"^(\w+)\b"))


def entity(kind: Kind, record: Any) -> Entity:
    """Read a record. Raises ValueError with the field and the reason if it is none."""
    if not isinstance(record, dict):
        raise ValueError(f"found {kind_of(record)}; a record would be right")  # noqa: TRY004 - it is data, not a bug
    outsized(record)
    record = named(record)
    id = record.get("Id")
    if isinstance(id, bool) or not isinstance(id, int):
        raise ValueError(f"Id: found {kind_of(record.get('Id', ABSENT))}; integer would be right")  # noqa: TRY004
    address = record.get(ADDRESS)
    if address is not None and not isinstance(address, dict):
        raise ValueError(f"{ADDRESS}: found {kind_of(address)}; an object would be right")
    times = (changed(record), _time(address or {}, f"{ADDRESS}.{CHANGED}"))
    marker = long(record.get(kind.marker))
    shown = {name: value for name, value in record.items() if name != kind.marker} if marker else record
    latest = max((time for time in times if time is not None), default=None)
    return Entity(id=str(id), record=shown, updated_at=latest, marker=marker)


def named(record: Record) -> Record:
    """Answer the record with its fields' names as they are documented, in whatever case they came."""
    shown = {_NAMES.get(name.lower(), name): value for name, value in record.items()}
    address = shown.get(ADDRESS)
    return {**shown, ADDRESS: named(address)} if isinstance(address, dict) else shown


def changed(record: Record) -> Time | None:
    """Answer when Go says that the record itself changed; an address has a time of its own."""
    return _time(record, CHANGED)


def sorted_out(type: str, records: list[Any]) -> tuple[tuple[Entity, ...], tuple[Rejected, ...]]:
    """Part a list into records and what cannot be understood."""

    def id_of(record: Any) -> str | None:
        id = named(record).get("Id") if isinstance(record, dict) else None
        return str(id) if isinstance(id, int) and not isinstance(id, bool) else None

    return parted(type, records, lambda record: entity(KINDS[type], record), named=id_of, key="Id")


def checked(type: str, kind: Kind, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the wanted values in Go's own types. Raises Refused with every field that it does not take."""
    values: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for path, value in wanted.items():
        if path not in (kind.traits.writable or ()):
            refused[path] = _why_not(path)
        elif path == "Name" and not str(value or "").strip():
            refused[path] = "may not be empty"
        elif path.endswith("Id") and isinstance(value, str) and value:
            if value.isascii() and value.isdecimal():
                values[path] = int(value)
            else:
                refused[path] = "must be an integer"
        elif path == "Code" and type == "projects" and "." in str(value):
            refused[path] = "may not hold a full stop, which parts projects from subprojects"
        else:
            values[path] = None if value == "" and path.endswith("Id") else value
    _refuse(type, refused)
    return values


def _why_not(path: str) -> str:
    head = re.sub(r"(Code|No|Number)$", "Id", path)
    twin = head != path and any(head in (kind.traits.writable or ()) for kind in KINDS.values())
    return f"is read-only; {head} would be right" if twin else "is not writable"


def _refuse(type: str, refused: dict[str, str]) -> None:
    if refused:
        said = ", ".join(f"{path} ({why})" for path, why in refused.items())
        raise Refused(f"{type}: found {said}; values that PowerOffice takes would be right", fields=refused)


def body(type: str, kind: Kind, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out a new record, with what Go does not assume by itself."""
    values = checked(type, kind, {path: value for path, value in wanted.items() if value not in (None, "")})
    names = ("FirstName", "LastName") if values.get("IsPerson") else ("Name",)
    _refuse(type, {name: "is required" for name in names if not values.get(name)})
    laid: dict[str, Any] = {}
    for path, value in values.items():
        place(laid, path, value)
    if ADDRESS in laid:
        _whole_address(type, laid[ADDRESS], values)
    if type == "departments":
        laid.setdefault("IsActive", True)  # Go's own default is false
    if type == "customers" and not laid.get("EmailAddress") and not laid.get("InvoiceEmailAddress"):
        laid.setdefault("InvoiceDeliveryType", "Print")  # an invoice has to go somewhere
    return laid


def _whole_address(type: str, address: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if not (address.get("City") and address.get("ZipCode")):
        why = "needs City and ZipCode, both"
        _refuse(type, {path: why for path in wanted if path.startswith(f"{ADDRESS}.")})


def patch(type: str, kind: Kind, wanted: Mapping[str, Any], held: Record) -> Patch:
    """Write a change as tests and replacements; an address that is not there yet is added whole."""
    values = checked(type, kind, wanted)
    operations: Patch = []
    missing: dict[str, Any] = {}
    for path, value in values.items():
        if path.startswith(f"{ADDRESS}.") and not isinstance(held.get(ADDRESS), dict):
            missing[path.partition(".")[2]] = value
            continue
        at, now = f"/{path.replace('.', '/')}", pick(held, path)
        operations.append({"op": "test", "path": at, "value": None if now is ABSENT else now})
        operations.append({"op": "replace", "path": at, "value": value})
    given = {name: value for name, value in missing.items() if value not in (None, "")}
    if given:
        _whole_address(type, given, wanted)
        operations.append({"op": "test", "path": f"/{ADDRESS}", "value": None})
        operations.append({"op": "add", "path": f"/{ADDRESS}", "value": given})
    return operations


def same(kind: Kind, base: Record, fresh: Record) -> bool:
    """Tell whether two states of a record agree in all that can be written."""
    return all(pick(base, path) == pick(fresh, path) for path in kind.traits.writable or ())


def in_use(error: Refused) -> str | None:
    """Answer the id of the record that has our reference already, if that is why a create was refused."""
    found = _IN_USE.search(str(error))
    return found[1] if found else None


def complaint(body: Any) -> Complaint:
    """Read a refusal: problem details (RFC 9457) in either case, or the gateway's ``message``."""
    said = {name.lower(): value for name, value in body.items()} if isinstance(body, dict) else {}
    texts = [text for name in ("title", "detail", "message") if isinstance(text := said.get(name), str)]
    detail = said.get("detail")
    found = (shape.search(detail) for shape in _FIELDS) if isinstance(detail, str) else ()
    first = next((one[1] for one in found if one), "")
    field = _NAMES.get(first.lower())
    return ": ".join(texts), {field: str(detail)} if field else {}


def judge(request: Request, status: int, body: Any) -> Verdict | None:
    """Say what a refusal means where its words know better than its status."""
    said, _ = complaint(body)
    if status == 400 and request.method == "PATCH" and "test value" in said:  # noqa: PLR2004 - a bad request
        return Verdict.STALE
    if status == 409:  # noqa: PLR2004 - it is in use, or taken
        return Verdict.REFUSED
    return None


def pause(status: int, *, roll: float) -> float | None:
    """Answer for how many seconds nothing may be asked: a second at least. ``roll`` is 0 to 1."""
    return 1.0 + roll if status == 429 else None  # noqa: PLR2004 - too many requests


def _time(record: Record, path: str) -> Time | None:
    value = record.get(path.rpartition(".")[2])
    return None if isinstance(value, str) and value.startswith(_NEVER) else changed_at(value, path)
