"""What PowerOffice Go accepts in a request, and how it applies a JSON Patch; the sandbox's rules, without HTTP."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from typing import Any

from msgspec import Struct

ADDRESS = "MailAddress"


class Rules(Struct, frozen=True, kw_only=True):
    """What a type's fields take. A type is a name of a check; all but the required ones take null."""

    name: str
    fields: dict[str, str]
    twins: frozenset[str] = frozenset()
    """Codes and numbers of linked records, which a new record may name and a patch may not."""
    required: tuple[str, ...] = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """What a new record holds where nothing is said."""
        flags = dict.fromkeys((name for name, kind in self.fields.items() if kind == "flag"), False)
        return {**dict.fromkeys(name for name in self.fields if name != ADDRESS), **flags}


_IN_ADDRESS = {
    "AddressLine1": 200,
    "AddressLine2": 200,
    "City": 100,
    "ZipCode": 50,
    "CountryCode": 2,
    "ExternalCode": 50,
}
_STATES = ("Tentative", "Active", "Archived", "NotStarted", "Complete")
_WAYS = ("None", "PdfByEmail", "Print", "EHF", "AvtaleGiro", "External")

RULES = {
    "departments": Rules(
        name="Department",
        fields={"Code": "text", "Name": "text", "IsActive": "flag", "ManagerEmployeeId": "number"},
        twins=frozenset({"ManagerEmployeeNo"}),
        required=("Name",),
    ),
    "customers": Rules(
        name="Customer",
        fields={
            **dict.fromkeys(("Name", "LegalName", "FirstName", "LastName", "EmailAddress", "PhoneNumber"), "text"),
            **dict.fromkeys(("WebsiteUrl", "OrganizationNumber", "InvoiceEmailAddress", "CurrencyCode"), "text"),
            **dict.fromkeys(("DepartmentId", "ExternalNumber", "PaymentTermId", "SalesPersonEmployeeId"), "number"),
            **dict.fromkeys(("IsPerson", "IsArchived"), "flag"),
            **dict.fromkeys(("CustomerSince", "DateOfBirth"), "day"),
            "InvoiceDeliveryType": "way",
            "ExternalImportReference": "short",
            ADDRESS: "address",
        },
        twins=frozenset({"DepartmentCode"}),
    ),
    "projects": Rules(
        name="Project",
        fields={
            **dict.fromkeys(("Name", "PurchaseOrderNo", "ContractNo"), "text"),
            **dict.fromkeys(("CustomerId", "DepartmentId", "ParentProjectId", "ContactPersonId"), "number"),
            **dict.fromkeys(("ProjectManagerEmployeeId", "ExternalNumber", "Progress"), "number"),
            **dict.fromkeys(("IsActive", "IsInternal", "IsBillable"), "flag"),
            **dict.fromkeys(("StartDate", "EndDate"), "day"),
            "Code": "code",
            "ProjectStatus": "state",
        },
        twins=frozenset({"CustomerNo", "DepartmentCode", "ParentProjectCode", "ProjectManagerEmployeeNo"}),
        required=("Name",),
    ),
}


def check(rules: Rules, fields: dict[str, Any], *, creating: bool) -> str | None:
    """Say what is wrong with a request, in Go's words; nothing if all is well."""
    if creating and rules.name == "Customer":
        needed: tuple[str, ...] = ("FirstName", "LastName") if fields.get("IsPerson") else ("Name",)
        if not any(fields.get(name) for name in ("EmailAddress", "InvoiceEmailAddress", "InvoiceDeliveryType")):
            return "InvoiceDeliveryType is required for a customer without an e-mail address."
    else:
        needed = rules.required
    for name in needed:
        if (creating or name in fields) and not str(fields.get(name) or "").strip():
            return f"{name} is required."
    for name, value in fields.items():
        kind = rules.fields.get(name, "number" if creating and name in rules.twins else "")
        if not kind:
            return f"{name} is not a property of {rules.name}PostDto."
        if value is not None and not _is(kind, value):
            return f"{name} is not a valid {kind}."
    return None


def patched(rules: Rules, record: dict[str, Any], operations: list[Any]) -> dict[str, Any]:
    """Apply a JSON Patch (RFC 6902), all of it or nothing. Raises ValueError in Go's words."""
    after = deepcopy(record)
    for one in operations:
        if not isinstance(one, dict) or not isinstance(one.get("path"), str):
            raise ValueError("The operation is not valid.")  # noqa: TRY004 - it is data, not a bug
        parts = one["path"].strip("/").split("/")
        holder, name = _reached(rules, after, parts, add=one.get("op") == "add")
        match one.get("op"):
            case "test":
                if holder.get(name) != one.get("value"):
                    found, wanted = holder.get(name), one.get("value")
                    raise ValueError(
                        f"The current value '{found}' at path '{name}' is not equal to the test value '{wanted}'."
                    )
            case "add" | "replace":
                holder[name] = one.get("value")
            case "remove":
                holder[name] = None
            case _:
                raise ValueError(f"Invalid JsonPatch operation '{one.get('op')}'.")
    return after


def _reached(rules: Rules, record: dict[str, Any], parts: list[str], *, add: bool) -> tuple[dict[str, Any], str]:
    names = {name.lower(): name for name in rules.fields}
    head = names.get(parts[0].lower())
    if head == ADDRESS and len(parts) == 2:  # noqa: PLR2004 - one step down
        inner = {name.lower(): name for name in _IN_ADDRESS}.get(parts[1].lower())
        if inner is not None and isinstance(record.get(ADDRESS), dict):
            return record[ADDRESS], inner
    elif head is not None and len(parts) == 1 and (head != ADDRESS or add or record.get(ADDRESS) is None):
        return record, head
    said = f"The target location specified by path segment '{parts[-1]}' was not found."
    raise ValueError(f"{rules.name}PatchDto: {said}")


def _is(kind: str, value: Any) -> bool:  # noqa: PLR0911 - one line for each kind
    match kind:
        case "text":
            return isinstance(value, str)
        case "short":
            return isinstance(value, str) and len(value) <= 50  # noqa: PLR2004 - the vendor's number
        case "code":
            return isinstance(value, str) and "." not in value
        case "flag":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "address":
            return isinstance(value, dict) and _is_address(value)
        case _:
            return isinstance(value, str) and _is_word(kind, value)


def _is_address(value: dict[str, Any]) -> bool:
    known = {**_IN_ADDRESS, "Id": None, "LastChangedDateTimeOffset": None}
    fits = all(len(str(part or "")) <= (known.get(name) or 1_000) for name, part in value.items())
    return value.keys() <= known.keys() and bool(value.get("City") and value.get("ZipCode")) and fits


def _is_word(kind: str, value: str) -> bool:
    if kind != "day":
        return value in (_STATES if kind == "state" else _WAYS)
    try:
        return bool(date.fromisoformat(value))
    except ValueError:
        return False
