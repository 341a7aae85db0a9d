"""The product's settings, on a host whose clock is off by the seconds in the file that CLOCK_FILE names: it may be set."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.backends.signals import connection_created
from django.utils import timezone

_time, _now, _file = time.time, timezone.now, Path(os.environ["CLOCK_FILE"])


def _off() -> float:
    return float(_file.read_text())


def _strftime(form: str, *when: Any) -> str:
    """What SQLite itself says on such a host, as far as Django asks it."""
    return f"{timezone.now():%Y-%m-%d %H:%M:%S.%f}"


def _tell_sqlite(connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function("strftime", -1, _strftime)


# Before anything of the product is loaded.
time.time = lambda: _time() + _off()
timezone.now = lambda: _now() + timedelta(seconds=_off())
connection_created.connect(_tell_sqlite, weak=False)

from project.settings import *  # noqa: E402, F403
