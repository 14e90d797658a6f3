"""A hook of mkdocs: what lies beside docs/ is named in the site, not linked; on disk the links lead there."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page whose links all stay inside the site."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", markdown)
