"""Whether this process has lately found the database away.

Right after an outage every worker's lease looks stale, although the workers live and renew it within a heartbeat. Whoever
was cut off itself judges nobody until a lease has passed.
"""

from __future__ import annotations

import time

from assistant import conf

_last = float("-inf")


def note() -> None:
    """The database has just been found away."""
    global _last
    _last = time.monotonic()


def was_recent() -> bool:
    return time.monotonic() - _last < conf.settings.lease
