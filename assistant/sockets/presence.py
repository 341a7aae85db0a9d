"""Who is here: one entry for each open socket in Valkey, which expires by itself when its browser or web process dies.

Several tabs are several entries and one person. Whoever reads along by a link is counted, not named. Times are Valkey's
own, so that web servers whose clocks differ agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from assistant import conf
from assistant.delivery import valkey

READER = "reader"

# KEYS: a session's entries, scored by when they expire. ARGV: 'in', 'out' or 'look', seconds, entries. Returns how many
# have just expired, and who is left.
_CALL = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for i = 3, #ARGV do
  if ARGV[1] == 'in' then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[i]) end
  if ARGV[1] == 'out' then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
local gone = redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now)
if ARGV[1] == 'in' then redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] * 1000)) end
return {gone, redis.call('ZRANGE', KEYS[1], 0, -1)}
"""


@dataclass(frozen=True, slots=True)
class Online:
    users: list[int]  # ids, in order
    readers: int  # by the session's link

    def as_json(self) -> dict[str, Any]:
        return {"online": self.users, "readers": self.readers}


def expire_seconds() -> float:
    """How long an entry lasts that nobody renews."""
    return conf.settings.presence


def enter(session_id: UUID, user_id: int | None, socket: str) -> Online:
    """Notes (or renews) a socket, of a reader if there is no user; returns who is here. Raises `valkey.Unavailable`."""
    return _call(session_id, "in", [_entry(user_id, socket)])[1]


def leave(session_id: UUID, user_id: int | None, socket: str) -> Online:
    """Notes that a socket is closed; returns who is still here. Raises `valkey.Unavailable`."""
    return _call(session_id, "out", [_entry(user_id, socket)])[1]


def look(session_id: UUID) -> Online:
    """Who is here. Raises `valkey.Unavailable`."""
    return _call(session_id, "look", [])[1]


def renew(sockets: Mapping[UUID, Iterable[tuple[int | None, str]]]) -> dict[UUID, Online]:
    """Renews sockets of many sessions; returns those sessions in which somebody else's entry was found expired.

    Of several that look, one finds it. Raises `valkey.Unavailable`.
    """
    found = {
        session_id: _call(session_id, "in", [_entry(user_id, socket) for user_id, socket in entries])
        for session_id, entries in sockets.items()
    }
    return {session_id: online for session_id, (gone, online) in found.items() if gone}


def _entry(user_id: int | None, socket: str) -> str:
    return f"{READER if user_id is None else user_id}:{socket}"


def _call(session_id: UUID, what: str, entries: list[str]) -> tuple[int, Online]:
    key = f"{valkey.PREFIX}:online:{session_id.hex}"
    gone, members = valkey.client().eval(_CALL, 1, key, what, expire_seconds(), *entries)
    who = [member.decode().partition(":")[0] for member in members]
    users = sorted({int(one) for one in who if one != READER})
    return gone, Online(users, sum(one == READER for one in who))
