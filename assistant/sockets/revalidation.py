"""Each web process calls the roll of its open sockets, several times before their presence would expire.

It renews their presence, tells of those that expired because their web process died, and looks whether each may still see
what it sees, with the role it thinks it has. That is the net below the events that say so at once: one of them may be
lost, and a closed account, a revoked token or a sign-out is told by none. A few queries and round trips, however many
sockets and sessions there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from django.db import DatabaseError

from assistant import access
from assistant.database import Database
from assistant.delivery import valkey
from assistant.models.user_id import UserId
from assistant.presentation import broadcast, wire
from assistant.sockets import fan_out, presence

logger = logging.getLogger(__name__)

CALLS = 3  # in the time in which presence expires: two may be late


@dataclass(frozen=True, slots=True)
class Seat:
    """What a socket is thought to be allowed: the session, as this user in this role, or by this link.

    Without a session: the list of this user's sessions.
    """

    session_id: UUID | None
    user_id: UserId = None
    role: str | None = None
    credential: access.Credential | None = None
    link_id: int | None = None


_seats: dict[str, Seat] = {}  # by the names of the sockets
_caller: asyncio.Task[None] | None = None


def take(socket: str, seat: Seat, database: Database) -> None:
    """From now on `socket` is called, until `discard`; again with another seat if its role has changed.

    A socket whose seat is no longer right is told an event: it reads what is now, or is sent away.
    """
    global _caller
    _seats[socket] = seat
    if _caller is None or _caller.done() or _caller.get_loop() is not asyncio.get_running_loop():
        _caller = asyncio.create_task(_call_again_and_again(database), name="revalidation")


def discard(socket: str) -> None:
    global _caller
    _seats.pop(socket, None)
    if not _seats and _caller is not None:
        _caller.cancel()
        _caller = None


async def _call_again_and_again(database: Database) -> None:
    while True:
        await asyncio.sleep(presence.expire_seconds() / CALLS)
        try:
            await _renew(database)
        except valkey.Unavailable:
            pass  # whoever is here enters anew with the snapshot that follows
        except Exception:
            logger.exception("Presence could not be renewed.")
        try:
            await _look(database)
        except DatabaseError:
            pass  # nobody is judged while the database is away
        except Exception:
            logger.exception("The roll could not be called.")


async def _renew(database: Database) -> None:
    sockets: dict[UUID, list[tuple[UserId, str]]] = defaultdict(list)
    for socket, seat in _seats.items():
        if seat.session_id is not None:
            sockets[seat.session_id].append((seat.user_id, socket))
    for session_id, online in (await database.call_once(presence.renew, sockets)).items():
        await broadcast.send_frame(session_id, wire.encode("presence", **online.as_json()))


async def _look(database: Database) -> None:
    called = dict(_seats)
    wrong = await database.call_once(_wrong, called)
    for socket, event in wrong.items():
        if _seats.get(socket) == called[socket]:  # and not changed meanwhile
            fan_out.tell(socket, {"type": event})


def _wrong(called: dict[str, Seat]) -> dict[str, str]:
    """The sockets that are not what they should be, and the event that puts each right."""
    seats = called.values()
    valid = access.still_valid({seat.credential for seat in seats if seat.credential})
    roles = access.roles({seat.session_id for seat in seats if seat.session_id and seat.link_id is None})
    accounts = access.open_accounts({seat.user_id for seat in seats if seat.user_id is not None})
    links = access.open_links({seat.link_id for seat in seats if seat.link_id is not None})
    wrong = {}
    for socket, seat in called.items():
        if seat.credential is not None and seat.credential not in valid:
            wrong[socket] = "credential.ended"
        elif seat.link_id is not None:
            if seat.link_id not in links:
                wrong[socket] = "share.ended"
        elif seat.user_id not in accounts:
            wrong[socket] = "credential.ended"
        elif seat.session_id is not None and seat.role != roles.get((seat.session_id, seat.user_id)):
            wrong[socket] = "viewer.resync"
    return wrong
