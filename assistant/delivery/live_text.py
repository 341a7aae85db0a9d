"""An answer while it is being written, in Valkey: what a viewer who joins now has to see of its text and its reasoning.

Three commands, each atomic over both texts. The worker appends before it publishes, so whoever subscribes first and reads
then misses nothing: each delta is in what was read or comes afterwards with a higher `seq`. `attempt` fences here as it
does in the database. Everything expires: nothing outlives its message by more than `KEEP_SECONDS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import redis.asyncio

from assistant.delivery import valkey
from assistant.text.reasoned import Reasoned

KEEP_SECONDS = 15 * 60  # renewed by each delta; a text that is silent for longer is read from the database
_FOR_EVER = 2**52  # milliseconds since 1970
SEAL_MS = 2_000  # a stop that does not come to its end in this time (its process died) no longer binds the worker

# Each answers nothing if a key is missing: under memory pressure the server may have evicted one of them.

# KEYS: meta, the text that grows, the other one. ARGV: attempt, the name of its counter, seq before, piece, keep seconds,
# and if it is the reasoning its seconds. Returns 1 done, 0 send both texts whole, -1 sealed or a later attempt has taken
# over.
_APPEND = valkey.Script("""
local held = redis.call('HMGET', KEYS[1], 'attempt', ARGV[2], 'sealed')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return -1 end
if held[1] == ARGV[1] and held[3] then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) < tonumber(held[3]) then return -1 end
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[3] or redis.call('EXISTS', KEYS[2], KEYS[3]) < 2 then return 0 end
redis.call('APPEND', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], ARGV[2], tonumber(ARGV[3]) + 1)
if ARGV[6] then redis.call('HSET', KEYS[1], 'reasoning_seconds', ARGV[6]) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[5]) end
return 1
""")

# KEYS: meta, text, reasoning. ARGV: attempt, seq, text, keep seconds, and of the reasoning: seq, text, seconds. Returns as
# above.
_REPLACE = valkey.Script("""
local held = redis.call('HMGET', KEYS[1], 'attempt', 'sealed')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return -1 end
if held[1] == ARGV[1] and held[2] then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) < tonumber(held[2]) then return -1 end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'seq', ARGV[2], 'reasoning_seq', ARGV[5], 'reasoning_seconds', ARGV[7])
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])
redis.call('SET', KEYS[3], ARGV[6], 'EX', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
""")

# KEYS: meta, text, reasoning. Returns attempt, seq, text, and of the reasoning the same and its seconds; or nothing, if
# one is missing.
_READ = valkey.Script("""
local held = redis.call('HMGET', KEYS[1], 'attempt', 'seq', 'reasoning_seq', 'reasoning_seconds')
local text, reasoning = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3])
if not held[1] or not held[2] or not text or not reasoning then return false end
return {held[1], held[2], text, held[3], reasoning, held[4]}
""")

# KEYS: meta, text, reasoning. ARGV: attempt, milliseconds, keep seconds. Stops further appends by that attempt, also if it
# has not made one yet, and returns as above (nothing, if there is no text of this attempt).
_SEAL = valkey.Script("""
local held = redis.call('HMGET', KEYS[1], 'attempt', 'seq', 'reasoning_seq', 'reasoning_seconds')
local text, reasoning = redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3])
local now = redis.call('TIME')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return false end
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'sealed', now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if held[1] ~= ARGV[1] or not held[2] or not text or not reasoning then
  redis.call('HDEL', KEYS[1], 'seq')
  return false
end
return {held[1], held[2], text, held[3], reasoning, held[4]}
""")


class Superseded(Exception):
    """The text is no longer this attempt's to write: somebody stopped it, or a later attempt has begun."""


LiveSeqs = tuple[int, int]  # how many deltas of the text, and of the reasoning


@dataclass(frozen=True, slots=True)
class LiveText:
    attempt: int
    seq: int
    content: str
    reasoned: Reasoned | None = None

    def is_as_far_as(self, attempt: int, seq: int, reasoning_seq: int) -> bool:
        """Whether it holds what an attempt has stored, or more."""
        thoughts = self.reasoned.seq if self.reasoned else 0
        return self.attempt == attempt and self.seq >= seq and thoughts >= reasoning_seq


def keys(message_id: UUID) -> list[str]:
    base = f"{valkey.PREFIX}:live:{{{message_id.hex}}}"
    return [f"{base}:meta", f"{base}:text", f"{base}:reasoning"]


def read(message_id: UUID) -> LiveText | None:
    """The live text, or None if there is none or Valkey is away (the database's checkpoint stands in)."""
    return _ask(_READ, message_id)


def seal(message_id: UUID, attempt: int) -> LiveText | None:
    """Ends the writing by `attempt` and returns its texts: whatever it showed to anyone is in them, and it will show no
    more. None: it has shown nothing yet, or Valkey is away or has lost a text (the database's checkpoint stands in).
    """
    return _ask(_SEAL, message_id, attempt, SEAL_MS, KEEP_SECONDS)


def close(message_id: UUID, attempt: int) -> None:
    """Makes a seal last: `attempt` is over, and its worker may not know it yet. The texts are dropped."""
    meta, *texts = keys(message_id)
    with contextlib.suppress(*valkey.Unavailable), valkey.client().pipeline() as pipe:
        pipe.hset(meta, mapping={"attempt": attempt, "sealed": _FOR_EVER})
        pipe.hdel(meta, "seq")
        pipe.expire(meta, KEEP_SECONDS)
        pipe.unlink(*texts)
        pipe.execute()


def discard(message_id: UUID) -> None:
    with contextlib.suppress(*valkey.Unavailable):  # then it expires by itself
        valkey.client().unlink(*keys(message_id))


def _ask(script: valkey.Script, message_id: UUID, *arguments: int) -> LiveText | None:
    try:
        found = script.run(keys(message_id), arguments)
    except valkey.Unavailable:
        return None
    if not found:
        return None
    attempt, seq, content, reasoning_seq, reasoning, seconds = found
    reasoned = Reasoned(reasoning.decode(), int(reasoning_seq), float(seconds)) if reasoning else None
    return LiveText(int(attempt), int(seq), content.decode(), reasoned)


class LiveWriter:
    """Writes one attempt's live texts, from the runner's loop. The caller holds them; this keeps Valkey's copy."""

    def __init__(self, client: redis.asyncio.Redis, message_id: UUID, attempt: int) -> None:
        self._client = client
        self._meta, self._text, self._reasoning = keys(message_id)
        self._attempt = attempt

    async def append(
        self, piece: str, before: LiveSeqs, whole: Callable[[], LiveText], seconds: float | None = None
    ) -> None:
        """Adds `piece` to the text, as its next delta after those `before`; with `seconds` (of all thoughts until then) to
        the reasoning.

        `whole()` are both texts with it, asked for if Valkey has no copy. Raises Superseded, or one of
        `valkey.Unavailable` (then the next append repairs it).
        """
        if not any(before):
            await self.replace(
                whole()
            )  # there is nothing of this attempt yet: one round trip less for the first word
            return
        texts, counter = (self._text, self._reasoning), ("seq", before[0])
        more: tuple[float, ...] = ()
        if seconds is not None:
            texts, counter, more = texts[::-1], ("reasoning_seq", before[1]), (seconds,)
        arguments = [self._attempt, *counter, piece.encode(), KEEP_SECONDS, *more]
        answer = await _APPEND.run_on(self._client, [self._meta, *texts], arguments)
        if answer == 0:
            await self.replace(whole())
        elif answer == -1:
            raise Superseded

    async def replace(self, whole: LiveText) -> None:
        """Sets both texts; raises as `append` does."""
        thought = whole.reasoned or Reasoned("", 0, 0.0)
        answer = await _REPLACE.run_on(
            self._client, [self._meta, self._text, self._reasoning],
            [self._attempt, whole.seq, whole.content.encode(), KEEP_SECONDS,
             thought.seq, thought.content.encode(), thought.seconds],
        )  # fmt: skip
        if answer == -1:
            raise Superseded
