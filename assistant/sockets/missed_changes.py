"""Notices viewers whom a change never reached, and has each of them sent a snapshot.

A frame follows its commit. It is lost if the process that has committed dies before it has sent, or if the subscription
of this one breaks for a moment. A viewer sees by itself that a delta is missing, since those are counted; but where the
lost frame was the last there was to say, such as an ending, nothing that follows shows it. Whatever ends, promotes, parks,
pauses or changes what waits raises the session's version in its transaction, and is told with it. So each web process
asks how far the sessions are that its sockets show; what has not arrived by the next look is lost.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from django.db import DatabaseError

from assistant import outage
from assistant.database import Database
from assistant.models import ChatSession
from assistant.presentation import events
from assistant.sockets import fan_out

logger = logging.getLogger(__name__)

# From a commit to its frame it is milliseconds; who is slower than this costs viewers a snapshot.
HEARD_WITHIN_SECONDS = 1.5
_TELLS_ITS_VERSION = '{"type":"session.updated"'


@dataclass(slots=True)
class _Heard:
    """By one socket, of its session."""

    session_id: UUID
    version: int  # and all before it
    ahead: set[int] = field(default_factory=set)  # heard before one that is still to come

    def add(self, version: int) -> None:
        if version > self.version:
            self.ahead.add(version)
        while self.version + 1 in self.ahead:
            self.version += 1
            self.ahead.discard(self.version)


_heard: dict[str, _Heard] = {}  # by the names of the sockets
_looker: asyncio.Task[None] | None = None


def shown(socket: str, session_id: UUID, version: int, database: Database) -> None:
    """`socket` has been sent a snapshot: the session as of this version. From now on it is looked after."""
    global _looker
    _heard[socket] = _Heard(session_id, version)
    if _looker is None or _looker.done() or _looker.get_loop() is not asyncio.get_running_loop():
        _looker = asyncio.create_task(_look_again_and_again(database), name="behind")


def heard(socket: str, frame: str) -> None:
    """`socket` has been sent this frame."""
    if frame.startswith(_TELLS_ITS_VERSION) and socket in _heard:
        _heard[socket].add(_version_in(frame))


@functools.lru_cache(maxsize=1)  # a frame is relayed to many sockets, one after the other
def _version_in(frame: str) -> int:
    return int(orjson.loads(frame)["session"]["version"])


def discard(socket: str) -> None:
    _heard.pop(socket, None)


async def _look_again_and_again(database: Database) -> None:
    """While anybody is there."""
    due: dict[UUID, int] = {}
    while _heard:
        try:
            await _make_up(due, database)
            due = await database.call_once(_versions, {one.session_id for one in _heard.values()})
        except DatabaseError:
            outage.note()
        except Exception:
            logger.exception("Whether viewers are behind could not be found out.")
        await asyncio.sleep(HEARD_WITHIN_SECONDS)


async def _make_up(due: dict[UUID, int], database: Database) -> None:
    """Sends what shows the versions `due` to those who have not heard them."""
    late = {socket: one for socket, one in _heard.items() if one.version < due.get(one.session_id, 0)}
    for socket, one in late.items():
        fan_out.tell(socket, {"type": "viewer.resync"})
        one.version = due[one.session_id]  # asked for once: it is on its way
    if late:
        logger.warning("A change had not reached %d viewers: they are sent a fresh snapshot.", len(late))
        await database.call_once(events.tell_lists_again, {one.session_id for one in late.values()})


def _versions(session_ids: set[UUID]) -> dict[UUID, int]:
    return dict(ChatSession.objects.filter(pk__in=session_ids).values_list("pk", "version"))
