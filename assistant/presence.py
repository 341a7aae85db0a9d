"""Who is here: one entry for each open socket in Valkey, which expires by itself when its server dies."""

from __future__ import annotations

import time
from uuid import UUID

from assistant import valkey

RENEW_SECONDS = 20
_EXPIRE_SECONDS = 50


def _key(session_id: UUID) -> str:
    return f"{valkey.PREFIX}:online:{session_id.hex}"


def enter(session_id: UUID, user_id: int, socket: str) -> list[int]:
    """Notes (or renews) a socket; returns the ids of the users who are here. Raises `valkey.Unavailable`."""
    now = time.time()
    with valkey.client().pipeline() as pipe:
        pipe.zadd(_key(session_id), {f"{user_id}:{socket}": now + _EXPIRE_SECONDS})
        pipe.expire(_key(session_id), _EXPIRE_SECONDS)
        pipe.zremrangebyscore(_key(session_id), 0, now)
        pipe.zrange(_key(session_id), 0, -1)
        return _users(pipe.execute()[-1])


def leave(session_id: UUID, user_id: int, socket: str) -> list[int]:
    """Notes that a socket is closed; returns who is still here. Raises `valkey.Unavailable`."""
    with valkey.client().pipeline() as pipe:
        pipe.zrem(_key(session_id), f"{user_id}:{socket}")
        pipe.zremrangebyscore(_key(session_id), 0, time.time())
        pipe.zrange(_key(session_id), 0, -1)
        return _users(pipe.execute()[-1])


def _users(members: list[bytes]) -> list[int]:
    return sorted({int(member.partition(b":")[0]) for member in members})
