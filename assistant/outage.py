"""Whether this process has lately found the database away, or its clock set.

Right after that every worker's lease looks stale, although the workers live and renew it within a heartbeat. Whoever
was cut off itself judges nobody until a lease has passed.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.db import connection

from assistant import conf

logger = logging.getLogger(__name__)

_last = float("-inf")
_renewing = threading.Lock()


def note() -> None:
    """The database has just been found away. A pool's other connections are likely to be broken as well: it renews them."""
    global _last
    _last = time.monotonic()
    pool = getattr(connection, "pool", None)
    if pool is not None and _renewing.acquire(blocking=False):
        threading.Thread(target=_renew, args=(pool,), name="renewing connections", daemon=True).start()


def note_clock_set() -> None:
    """The clock that all share was set."""
    global _last
    _last = time.monotonic()


def _renew(pool: Any) -> None:
    try:
        pool.check()
    except Exception as error:  # whoever needs one next finds out
        logger.warning("The pool's connections could not be renewed: %s", error)
    finally:
        _renewing.release()


def was_recent() -> bool:
    return time.monotonic() - _last < conf.settings.lease
