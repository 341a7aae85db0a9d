"""An answer while it is being written, in Valkey: what a viewer who joins now has to see of its text and its reasoning.

Each command (append, replace, read, seal) is one script, atomic over both texts. A delta's frame is published by the very
script that appends the delta, so whoever subscribes first and reads then misses nothing: each delta is in what was read or
comes afterwards with a higher `seq`; and what may not be appended is shown to nobody. `attempt` fences here as it does in
the database. Everything expires: nothing outlives its message by more than `KEEP_SECONDS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from assistant.delivery import valkey
from assistant.delivery.channel_groups import Publication
from assistant.delivery.outbox import Outbox
from assistant.text.reasoned import Reasoned

KEEP_SECONDS = 15 * 60  # renewed by each delta; a text that is silent for longer is read from the database
_FOR_EVER = 2**52  # milliseconds since 1970
SEAL_MS = 2_000  # a stop that does not come to its end in this time (its process died) no longer binds the worker

# Each answers nothing if a key is missing: under memory pressure the server may have evicted one of them.

DONE, LOST, REFUSED = 1, 0, -1

# KEYS: meta, the text that grows, the other one. ARGV: attempt, keep seconds, the channel to publish to (or nothing) and
# what, the name of the text's counter, seq before, piece, and if it is the reasoning its seconds. Returns DONE; LOST: send
# both texts whole; REFUSED: sealed, or a later attempt has taken over.
_APPEND = valkey.Script("""
local held = redis.call('HMGET', KEYS[1], 'attempt', ARGV[5], 'sealed')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return -1 end
if held[1] == ARGV[1] and held[3] then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) < tonumber(held[3]) then return -1 end
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[6] or redis.call('EXISTS', KEYS[2], KEYS[3]) < 2 then return 0 end
redis.call('APPEND', KEYS[2], ARGV[7])
redis.call('HSET', KEYS[1], ARGV[5], tonumber(ARGV[6]) + 1)
if ARGV[8] then redis.call('HSET', KEYS[1], 'reasoning_seconds', ARGV[8]) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[2]) end
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
""")

# KEYS: meta, text, reasoning. ARGV: attempt, keep seconds, channel and what as above, seq, text, and of the reasoning: seq,
# text, seconds. Returns as above.
_REPLACE = valkey.Script("""
local held = redis.call('HMGET', KEYS[1], 'attempt', 'sealed')
if held[1] and tonumber(held[1]) > tonumber(ARGV[1]) then return -1 end
if held[1] == ARGV[1] and held[2] then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) < tonumber(held[2]) then return -1 end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'seq', ARGV[5], 'reasoning_seq', ARGV[7], 'reasoning_seconds', ARGV[9])
redis.call('SET', KEYS[2], ARGV[6], 'EX', ARGV[2])
redis.call('SET', KEYS[3], ARGV[8], 'EX', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
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


LiveSeqs = tuple[int, int]  # how many deltas of the text, and of the reasoning
ANEW: LiveSeqs = (0, 0)  # both texts are set, whatever Valkey has


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


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of an attempt's text, after the deltas `before`; with `seconds` (of all thoughts until then) of its
    reasoning.

    `whole()` are both texts with it, asked for if Valkey has no copy. `publication` is told to the viewers if the piece may
    be appended.
    """

    message_id: UUID
    attempt: int
    piece: str
    before: LiveSeqs
    whole: Callable[[], LiveText]
    seconds: float | None = None
    publication: Publication | None = None

    def append(self) -> valkey.Command:
        if self.before == ANEW:
            return self.replace()  # there is nothing of this attempt yet: one round trip less for the first word
        meta, *texts = keys(self.message_id)
        grows: tuple[Any, ...] = ("seq", self.before[0], self.piece.encode())
        if self.seconds is not None:
            texts.reverse()
            grows = ("reasoning_seq", self.before[1], self.piece.encode(), self.seconds)
        return _APPEND.command([meta, *texts], (*self._head(), *grows))

    def replace(self) -> valkey.Command:
        whole = self.whole()
        thought = whole.reasoned or Reasoned("", 0, 0.0)
        texts = (whole.seq, whole.content.encode(), thought.seq, thought.content.encode(), thought.seconds)
        return _REPLACE.command(keys(self.message_id), (*self._head(), *texts))

    def _head(self) -> tuple[Any, ...]:
        return self.attempt, KEEP_SECONDS, *(self.publication or ("", b""))


async def write(outbox: Outbox, deltas: Sequence[Delta]) -> list[Any]:
    """What became of each: DONE, REFUSED, or the error that the server answered.

    In one pipeline, and another for those whose text Valkey has lost. Raises one of `valkey.Unavailable`; then some may
    have been written, and the next one of each text repairs what was not.
    """
    results = await outbox.run(*(delta.append() for delta in deltas))
    lost = [index for index, result in enumerate(results) if result == LOST]
    if lost:
        again = await outbox.run(*(deltas[index].replace() for index in lost))
        for index, result in zip(lost, again, strict=True):
            results[index] = result
    return results
