"""What time it is, for all processes alike: the database's, whatever the clock of this host says.

What one process writes and another compares is the database's time. A statement has it by itself (Django's `Now()`);
`now()` is for what has to be known here, because it is told to viewers in the same moment.

`now()` costs no statement: it counts on from what was said last by the monotonic clock, which nobody sets. It asks again
after a minute, and at once where this host's clock was set or the machine had slept.

SQLite has no clock: its NOW is that of the process that runs the statement. The one process that all share there is
Valkey, so it is asked, and NOW says the same.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.backends.signals import connection_created
from django.utils import timezone

from assistant import outage
from assistant.delivery import valkey

logger = logging.getLogger(__name__)

ASKED_EVERY_SECONDS = 60.0
AWAY_SECONDS = 20.0  # until a Valkey that did not answer is asked again
JUMP_SECONDS = 1.0  # more than clocks drift apart in a minute, or than an answer takes


@dataclass(frozen=True, slots=True)
class _Reading:
    """In seconds, each beside the monotonic clock of the same moment."""

    started: float  # what the database's clock said when the monotonic one stood at 0
    host_started: float  # the same of this host's
    good_until: float  # by the monotonic clock

    @property
    def is_doubtful(self) -> bool:
        return time.monotonic() > self.good_until or abs(_host_started() - self.host_started) > JUMP_SECONDS


_reading: _Reading | None = None
_asking = threading.Lock()  # by one thread at a time: Valkey may be silent, and others can count on


def now() -> datetime:
    """The database's time. Raises what the database raises where it has to be asked, and not in an event loop's thread."""
    reading = _reading
    if reading is None or (reading.is_doubtful and not _asking.locked()):
        with _asking:
            reading = _reading if _reading is not reading and _reading is not None else ask()
    return datetime.fromtimestamp(reading.started + time.monotonic(), UTC)


def today() -> date:
    """By that time, in the installation's time zone."""
    return timezone.localdate(now())


def ask() -> _Reading:
    """Asks what time it is. A clock that was set is an outage: right after it every worker's lease may look stale."""
    global _reading
    before, began = _reading, time.monotonic()
    said = _of_valkey() if connection.vendor == "sqlite" else _of_database()
    ended = time.monotonic()
    if said is not None:
        started = said - (began + ended) / 2
    else:
        started = before.started if before else _host_started()
    if before and abs(started - before.started) > JUMP_SECONDS + (ended - began):
        logger.warning("The clock that all share was set: by %+.0f s.", started - before.started)
        outage.note_clock_set()
    _reading = _Reading(started, _host_started(), ended + (AWAY_SECONDS if said is None else ASKED_EVERY_SECONDS))
    return _reading


def _host_started() -> float:
    return time.time() - time.monotonic()


def _of_database() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXTRACT(EPOCH FROM CLOCK_TIMESTAMP())")
        return float(cursor.fetchone()[0])


def _of_valkey() -> float | None:
    """None: it is away. It is asked once, for whoever asks may hold SQLite's lock."""
    try:
        with valkey.asked_once() as client:
            seconds, microseconds = client.time()
            return float(seconds + microseconds / 1e6)
    except valkey.Unavailable:
        return None


# --- SQLite's NOW ---

_threads = threading.local()
_OF_DJANGO = "%Y-%m-%d %H:%M:%f"  # of `Now()`, in statements and in the tables' defaults


def _strftime(form: str, *when: Any) -> Any:
    """SQLite's own function, but for what it says of NOW."""
    if when and str(when[0]).lower() == "now":
        when = (f"{now():%Y-%m-%d %H:%M:%S.%f}", *when[1:])
        if form == _OF_DJANGO and len(when) == 1:
            return when[0]
    marks = ", ".join("?" * (1 + len(when)))
    return _plain().execute(f"SELECT STRFTIME({marks})", (form, *when)).fetchone()[0]


def _plain() -> sqlite3.Connection:
    """This thread's own, on which the function is SQLite's."""
    if not hasattr(_threads, "plain"):
        _threads.plain = sqlite3.connect(":memory:")
    return cast("sqlite3.Connection", _threads.plain)


def _tell_sqlite(connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite" and connection.alias == DEFAULT_DB_ALIAS:
        connection.connection.create_function("strftime", -1, _strftime, deterministic=True)


connection_created.connect(_tell_sqlite, dispatch_uid="assistant.delivery.clock")
