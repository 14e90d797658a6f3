"""``python -m connectors.sandbox asana 8801``: one sandbox until interrupted."""

from __future__ import annotations

import sys

from connectors.sandbox.run import SYSTEMS, main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in SYSTEMS:
        sys.exit(f"sandbox: found {arguments}; one of {', '.join(SYSTEMS)} and a port would be right")
    port = int(arguments[1]) if len(arguments) > 1 else 0
    main(arguments[0], port=port, say=lambda line: sys.stdout.write(f"{line}\n") and sys.stdout.flush())
