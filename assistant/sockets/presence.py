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
from assistant.models.user_id import ShownId, UserId

READER = "reader"

# KEYS: a session's entries, scored by when they expire. ARGV: 'in', 'out' or 'look', seconds, entries. Returns how many
# have just expired, and who is left.
_CALL = valkey.Script("""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for i = 3, #ARGV do
  if ARGV[1] == 'in' then redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[i]) end
  if ARGV[1] == 'out' then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
local gone = redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now)
if ARGV[1] == 'in' then redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] * 1000)) end
return {gone, redis.call('ZRANGE', KEYS[1], 0, -1)}
""")


@dataclass(frozen=True, slots=True)
class Online:
    users: list[ShownId]  # ids, in order
    readers: int  # by the session's link

    def as_json(self) -> dict[str, Any]:
        return {"online": self.users, "readers": self.readers}


def expire_seconds() -> float:
    """How long an entry lasts that nobody renews."""
    return conf.settings.presence


def enter(session_id: UUID, user_id: UserId, socket: str) -> Online:
    """Notes (or renews) a socket, of a reader if there is no user; returns who is here. Raises `valkey.Unavailable`."""
    return _call(session_id, "in", [_entry(user_id, socket)])


def leave(session_id: UUID, user_id: UserId, socket: str) -> Online:
    """Notes that a socket is closed; returns who is still here. Raises `valkey.Unavailable`."""
    return _call(session_id, "out", [_entry(user_id, socket)])


def look(session_id: UUID) -> Online:
    """Who is here. Raises `valkey.Unavailable`."""
    return _call(session_id, "look", [])


def renew(sockets: Mapping[UUID, Iterable[tuple[UserId, str]]]) -> dict[UUID, Online]:
    """Renews sockets of many sessions; returns those sessions in which somebody else's entry was found expired.

    Of several that look, one finds it. Raises `valkey.Unavailable`.
    """
    with valkey.client().pipeline(transaction=False) as pipe:  # one round trip, however many sessions there are
        for session_id, entries in sockets.items():
            _CALL.run(*_asked(session_id, "in", [_entry(user_id, socket) for user_id, socket in entries]), pipe)
        found = pipe.execute()
    answers = zip(sockets, found, strict=True)
    return {session_id: _online(members) for session_id, (gone, members) in answers if gone}


def _entry(user_id: UserId, socket: str) -> str:
    return f"{_who(user_id)}:{socket}"


def _who(user_id: UserId) -> str:
    """Somebody may well have "reader" or "7" as the text that is their key."""
    if user_id is None:
        return READER
    return str(user_id) if isinstance(user_id, int) else f"={user_id}"


def _call(session_id: UUID, what: str, entries: list[str]) -> Online:
    _, members = _CALL.run(*_asked(session_id, what, entries))
    return _online(members)


def _asked(session_id: UUID, what: str, entries: list[str]) -> tuple[list[str], list[Any]]:
    """The script's keys and arguments."""
    return [f"{valkey.PREFIX}:online:{session_id.hex}"], [what, expire_seconds(), *entries]


def _online(members: list[bytes]) -> Online:
    who = [member.decode().rpartition(":")[0] for member in members]
    users: set[Any] = {one[1:] if one.startswith("=") else int(one) for one in who if one != READER}
    return Online(sorted(users), sum(one == READER for one in who))
