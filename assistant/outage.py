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

WAIT_SECONDS = 5.0  # for a connection
TRY_SECONDS = 0.2

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
    """Renews them, and waits for the end of the outage: nobody else might notice it, for now no request fails any more."""
    global _last
    try:
        while not pool.closed and not _is_whole(pool):
            time.sleep(TRY_SECONDS)
        _last = time.monotonic()
    finally:
        _renewing.release()


def _is_whole(pool: Any) -> bool:
    try:
        pool.check()
        with pool.connection(timeout=WAIT_SECONDS):
            return True
    except Exception as error:
        logger.debug("The pool has no connection yet: %s", error)
        return False


def was_recent() -> bool:
    """Also as long as a pool is being renewed: then nobody knows yet that it is over."""
    return _renewing.locked() or time.monotonic() - _last < conf.settings.lease
