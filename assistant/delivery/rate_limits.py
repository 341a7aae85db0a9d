"""How often somebody may do something: counted in Valkey, for all web processes together.

The generic cell rate algorithm (ITU-T I.371): `limit` at once, then one each `seconds / limit`. A key lives no longer than
it can refuse anything. Without Valkey nothing is refused: what must hold then too (the queue's length, budgets, quotas of
files) is counted in the database.
"""

from __future__ import annotations

import logging

from assistant.delivery import valkey

logger = logging.getLogger(__name__)

# KEYS[1]: the theoretical arrival time of the next one, in ms. ARGV: ms between two, how many at once.
_TAKE = valkey.Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local wait = due + interval - now - interval * burst
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], due + interval, 'PX', math.max(1, math.ceil(due + interval - now)))
return 0
""")


def take(what: str, limit: int, seconds: float) -> float:
    """Counts one more of `what`. Returns 0, or, if that is one too many, the seconds until it would not be.

    `limit` of them are allowed within `seconds`; 0 allows any number.
    """
    if not limit:
        return 0.0
    interval = seconds * 1000 / limit
    try:
        answer = _TAKE.run([f"{valkey.PREFIX}:rate:{what}"], [str(interval), str(limit)])
    except valkey.Unavailable as error:
        logger.warning("Rates are not limited while Valkey is away (%s).", error)
        return 0.0
    return int(answer) / 1000
