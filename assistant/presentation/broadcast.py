"""How frames reach people: through the channel layer, to a group for each session and for each person's lists.

All that goes through the channel layer is sent here. (Deltas don't: the script that appends them to the live text publishes
them.) What is sent from a transaction is sent once it has committed.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import transaction

from assistant.delivery import channel_groups, valkey
from assistant.delivery.channel_groups import Publication
from assistant.delivery.outbox import Outbox
from assistant.models.user_id import UserId

logger = logging.getLogger(__name__)

SEND_SECONDS = 3.0  # longer than this a viewer's frame is not waited for: it resyncs, the work goes on
LOOKS = 10  # in SEND_SECONDS
MAKE_UP_SECONDS = 0.5
MOST_OWED = 10_000

SESSIONS = "session."

_own_loop: asyncio.AbstractEventLoop | None = None
_outbox: Outbox | None = None  # of that loop
_lock = threading.Lock()
_is_away = False
_unsent: set[Future[None]] = set()
owed: set[str] = set()  # groups that a frame did not reach: their viewers are owed a fresh snapshot
making_up: asyncio.Task[None] | None = None


def send_from(loop: asyncio.AbstractEventLoop | None, outbox: Outbox | None = None) -> None:
    """Lets this process send through `loop` (a worker's runner) and its outbox, so that frames keep the order of what
    happened there, and stand in line with the deltas.

    Without it a thread with a loop of its own sends: a request is not kept waiting for its frames.
    """
    global _own_loop, _outbox
    _own_loop, _outbox = loop, outbox


def flush(seconds: float = SEND_SECONDS) -> None:
    """Waits until what was announced so far is sent, so that a command that ends now has told everyone."""
    wait(set(_unsent), timeout=seconds)


def group_of(session_id: UUID | str) -> str:
    return f"{SESSIONS}{str(session_id).replace('-', '')}"


def group_of_user(user_id: UserId) -> str:
    """Where a person's lists of sessions listen, in all their tabs."""
    if isinstance(user_id, int):
        return f"user.{user_id}"
    return f"user.{hashlib.sha256(str(user_id).encode()).hexdigest()[:32]}"  # a group's name has few letters


def publication(session_id: UUID | str, frame: str) -> Publication | None:
    """What tells an encoded frame to everyone who views the session; None: `send_frame` has to."""
    return channel_groups.publication(group_of(session_id), _relay(frame))


# --- from a transaction ---


def on_commit(session_id: UUID, frame: str) -> None:
    transaction.on_commit(lambda: _run(send_frame(session_id, frame)))


def to_lists(frames: dict[UserId, str]) -> None:
    async def send_all() -> None:
        for user_id, frame in frames.items():
            await send(group_of_user(user_id), _relay(frame))

    if frames:
        transaction.on_commit(lambda: _run(send_all()))


def to_sockets(session_id: UUID, event: dict[str, Any]) -> None:
    group = group_of(session_id)
    transaction.on_commit(lambda: _run(send(group, event)))


# --- at once ---


async def send_frame(session_id: UUID | str, frame: str) -> None:
    """Sends an encoded frame to everyone who views the session. Never raises: viewers resync, work goes on."""
    await send(group_of(session_id), _relay(frame))


def _relay(frame: str) -> dict[str, Any]:
    return {"type": "relay", "frame": frame}


async def send(group: str, event: dict[str, Any]) -> None:
    """Never raises. What could not be sent to a session's viewers is made up for by a snapshot, once sending works."""
    global _is_away
    try:
        await _publish(group, event)
    except (*valkey.Unavailable, TimeoutError) as error:
        if not _is_away:  # one line for an outage, not one for each frame of each answer
            logger.warning(
                "Frames are not sent, viewers will get a fresh snapshot: %s", error or type(error).__name__
            )
        _is_away = True
        if group.startswith(SESSIONS):
            _owe(group)
    else:
        if _is_away:
            logger.warning("Frames are sent again.")
        _is_away = False


async def _publish(group: str, event: dict[str, Any]) -> None:
    """Raises one of valkey.Unavailable, or TimeoutError after SEND_SECONDS in which this loop was there to hear an answer.

    A clock alone would also give up on an answer that has long arrived while the loop was kept from reading it. A loop
    that comes late uses up one look, and reads what has arrived before it looks again.
    """
    sending = asyncio.ensure_future(_to_group(group, event))
    try:
        for _ in range(LOOKS):
            await asyncio.wait({sending}, timeout=SEND_SECONDS / LOOKS)
            if sending.done():
                return sending.result()
        raise TimeoutError
    finally:
        sending.cancel()


async def _to_group(group: str, event: dict[str, Any]) -> None:
    if _outbox is not None and (what := channel_groups.publication(group, event)):
        [answer] = await _outbox.run(channel_groups.publish(what))
        if isinstance(answer, Exception):
            raise answer
    else:
        layer = get_channel_layer()
        assert layer is not None
        await layer.group_send(group, event)


def _owe(group: str) -> None:
    """Has `viewer.resync` sent to the group as soon as sending works: the frame that it missed may have been an ending."""
    global making_up
    if len(owed) < MOST_OWED:
        owed.add(group)
    with _lock:
        if making_up is None or making_up.done() or making_up.get_loop().is_closed():
            making_up = asyncio.create_task(_make_up(), name="making up")


async def _make_up() -> None:
    while owed:
        await asyncio.sleep(MAKE_UP_SECONDS)
        for group in list(owed):
            # Before it is sent: a frame that is lost from here on is owed anew.
            owed.discard(group)
            try:
                await _publish(group, {"type": "viewer.resync"})
            except (*valkey.Unavailable, TimeoutError):
                owed.add(group)
                break


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    sent = asyncio.run_coroutine_threadsafe(coroutine, _sending_loop())
    _unsent.add(sent)
    sent.add_done_callback(_unsent.discard)


def _sending_loop() -> asyncio.AbstractEventLoop:
    global _own_loop
    with _lock:
        if _own_loop is None or _own_loop.is_closed():
            _own_loop = asyncio.new_event_loop()
            threading.Thread(target=_own_loop.run_forever, name="frames", daemon=True).start()
            atexit.register(flush)
        return _own_loop
