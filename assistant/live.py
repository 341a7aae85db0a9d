"""The text of an answer while it is being written, in Valkey: what a viewer who joins now has to see.

Three commands, each atomic. The worker appends before it publishes, so whoever subscribes first and reads then misses
nothing: each delta is in what was read or comes afterwards with a higher `seq`. `attempt` fences here as it does in the
database. Everything expires: nothing outlives its message by more than `KEEP_SECONDS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import redis.asyncio

from assistant import valkey

KEEP_SECONDS = 15 * 60  # renewed by each delta; a text that is silent for longer is read from the database
_FOR_EVER = 2**52  # milliseconds since 1970
SEAL_MS = 2_000  # a stop that does not come to its end in this time (its process died) no longer binds the worker

# Each answers nothing if either key is missing: under memory pressure the server may have evicted one of them.

# KEYS: meta, text. ARGV: attempt, seq before, piece, keep seconds. Returns 1 done, 0 send the whole text, -1 sealed or
# a later attempt has taken over.
_APPEND = """
local held = redis.call('HMGET', KEYS[1], 'attempt', 'seq', 'sealed')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return -1 end
if held[1] == ARGV[1] and held[3] then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) < tonumber(held[3]) then return -1 end
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('APPEND', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[1], 'seq', tonumber(ARGV[2]) + 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""

# KEYS: meta, text. ARGV: attempt, seq, whole text, keep seconds. Returns as above.
_REPLACE = """
local held = redis.call('HMGET', KEYS[1], 'attempt', 'sealed')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return -1 end
if held[1] == ARGV[1] and held[2] then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) < tonumber(held[2]) then return -1 end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'seq', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

# KEYS: meta, text. ARGV: attempt, milliseconds, keep seconds. Stops further appends by that attempt, also if it has not
# made one yet, and returns attempt, seq, text (or nothing, if there is no text of this attempt).
_SEAL = """
local held = redis.call('HMGET', KEYS[1], 'attempt', 'seq')
local text = redis.call('GET', KEYS[2])
local now = redis.call('TIME')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return false end
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'sealed', now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if held[1] ~= ARGV[1] or not held[2] or not text then
  redis.call('HDEL', KEYS[1], 'seq')
  return false
end
return {held[1], held[2], text}
"""

_READ = """
local held = redis.call('HMGET', KEYS[1], 'attempt', 'seq')
local text = redis.call('GET', KEYS[2])
if not held[1] or not held[2] or not text then return false end
return {held[1], held[2], text}
"""


class Superseded(Exception):
    """The text is no longer this attempt's to write: somebody stopped it, or a later attempt has begun."""


@dataclass(frozen=True, slots=True)
class LiveText:
    attempt: int
    seq: int
    content: str


def keys(message_id: UUID) -> list[str]:
    base = f"{valkey.PREFIX}:live:{{{message_id.hex}}}"
    return [f"{base}:meta", f"{base}:text"]


def read(message_id: UUID) -> LiveText | None:
    """The live text, or None if there is none or Valkey is away (the database's checkpoint stands in)."""
    return _ask(_READ, message_id)


def seal(message_id: UUID, attempt: int) -> LiveText | None:
    """Ends the writing by `attempt` and returns its text: whatever it showed to anyone is in it, and it will show nothing
    more. None: it has shown nothing yet, or Valkey is away or has lost the text (the database's checkpoint stands in).
    """
    return _ask(_SEAL, message_id, attempt, SEAL_MS, KEEP_SECONDS)


def close(message_id: UUID, attempt: int) -> None:
    """Makes a seal last: `attempt` is over, and its worker may not know it yet. The text is dropped."""
    meta, text = keys(message_id)
    with contextlib.suppress(*valkey.Unavailable), valkey.client().pipeline() as pipe:
        pipe.hset(meta, mapping={"attempt": attempt, "sealed": _FOR_EVER})
        pipe.hdel(meta, "seq")
        pipe.expire(meta, KEEP_SECONDS)
        pipe.unlink(text)
        pipe.execute()


def discard(message_id: UUID) -> None:
    with contextlib.suppress(*valkey.Unavailable):  # then it expires by itself
        valkey.client().unlink(*keys(message_id))


def _ask(script: str, message_id: UUID, *arguments: int) -> LiveText | None:
    try:
        found = valkey.client().eval(script, 2, *keys(message_id), *arguments)
    except valkey.Unavailable:
        return None
    if not found:
        return None
    attempt, seq, content = found
    return LiveText(int(attempt), int(seq), content.decode())


class LiveWriter:
    """Writes one attempt's live text, from the runner's loop. The caller holds the text; this keeps Valkey's copy."""

    def __init__(self, client: redis.asyncio.Redis, message_id: UUID, attempt: int) -> None:
        self._client = client
        self._keys = keys(message_id)
        self._attempt = attempt

    async def append(self, piece: str, seq_before: int, whole: Callable[[], str]) -> None:
        """Adds `piece` as delta `seq_before + 1`; `whole()` is the text with it, asked for if Valkey has no copy.

        Raises Superseded, or one of `valkey.Unavailable` (then the next append repairs it).
        """
        if not seq_before:
            await self.replace(
                whole(), 1
            )  # there is nothing of this attempt yet: one round trip less for the first word
            return
        answer = await self._client.eval(
            _APPEND, 2, *self._keys, self._attempt, seq_before, piece.encode(), KEEP_SECONDS
        )
        if answer == 0:
            await self.replace(whole(), seq_before + 1)
        elif answer == -1:
            raise Superseded

    async def replace(self, whole: str, seq: int) -> None:
        """Sets the text as a whole; raises as `append` does."""
        answer = await self._client.eval(_REPLACE, 2, *self._keys, self._attempt, seq, whole.encode(), KEEP_SECONDS)
        if answer == -1:
            raise Superseded
