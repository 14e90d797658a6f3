"""What the connectors' registry knows, as the reading of a file needs it."""

from __future__ import annotations

from pathlib import Path

from connectors.positions import BadDocument
from stream.configuration.systems import Kind


def registered(connector: str, base_dir: Path) -> Kind:
    """Look a connector up. Raises ValueError, saying line by line what would be right."""
    from connectors import registry  # noqa: PLC0415 - brings the connectors, their HTTP client and jsonschema

    try:
        return Kind(traits=registry.describe(connector, base_dir), settings=registry.settings_of(connector, base_dir))
    except (LookupError, BadDocument) as error:
        raise ValueError(str(error.args[0] if error.args else error).removeprefix("connector: ")) from None
