"""How static files are served."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def weak_etag(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Gives a file an ETag that is weak from the start.

    GZipMiddleware makes a strong one weak, and WhiteNoise, comparing letter by letter, would then never know its own
    tag again: every page would load every file anew.
    """
    found = os.stat(path)
    headers["ETag"] = f'W/"{found.st_mtime_ns:x}-{found.st_size:x}"'
