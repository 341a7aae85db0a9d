"""What the people in a session are told. All that goes through the channel layer is sent here.

Deltas don't: their frames are encoded by `worker.streaming` and published by the script that appends them to the live text.
Verbs announce inside their transaction; the frame is made then (it shows the state after the change) and sent once the
transaction has committed. Whoever did something learns of it by the same frame as everyone else.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import logging
import threading
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future, wait
from typing import Any
from uuid import UUID

import orjson
from channels.layers import get_channel_layer
from django.db import transaction

from assistant import markup
from assistant.delivery import channel_groups, mailbox, valkey
from assistant.delivery.channel_groups import Publication
from assistant.delivery.outbox import Outbox
from assistant.models.message import Claim, Message
from assistant.models.participant import Participant
from assistant.models.session import ChatSession
from assistant.models.summary import Summary
from assistant.models.user_id import UserId, shown_id
from assistant.presentation import wire
from assistant.statements import Select

logger = logging.getLogger(__name__)

SEND_SECONDS = 3.0  # longer than this a viewer's frame is not waited for: it resyncs, the work goes on
LOOKS = 10  # in SEND_SECONDS
MAKE_UP_SECONDS = 0.5
MOST_OWED = 10_000

_own_loop: asyncio.AbstractEventLoop | None = None
_outbox: Outbox | None = None  # of that loop
_lock = threading.Lock()
_is_away = False
_unsent: set[Future[None]] = set()
_owed: set[str] = set()  # groups that a frame did not reach: their viewers are owed a fresh snapshot
_making_up: asyncio.Task[None] | None = None


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


SESSIONS = "session."
_PARTICIPANTS = Select(Participant, lambda p: Participant.objects.filter(session_id=p("session")))


def group_of(session_id: UUID | str) -> str:
    return f"{SESSIONS}{str(session_id).replace('-', '')}"


def group_of_user(user_id: UserId) -> str:
    """Where a person's lists of sessions listen, in all their tabs."""
    if isinstance(user_id, int):
        return f"user.{user_id}"
    return f"user.{hashlib.sha256(str(user_id).encode()).hexdigest()[:32]}"  # a group's name has few letters


def encode(type_: str, **fields: Any) -> str:
    return orjson.dumps({"type": type_, **fields}).decode()


def publication(session_id: UUID | str, frame: str) -> Publication | None:
    """What tells an encoded frame to everyone who views the session; None: `send_frame` has to."""
    return channel_groups.publication(group_of(session_id), _relay(frame))


def _relay(frame: str) -> dict[str, Any]:
    return {"type": "relay", "frame": frame}


# --- announcing from a transaction ---


def message_created(message: Message) -> None:
    """Tells the session of a message that this transaction has made."""
    _tell_message("message.created", message)


def message_changed(message: Message) -> None:
    """Tells the session of `message` as it stands in this transaction (it is read again)."""
    _tell_message("message.updated", Message.objects.shown().get(pk=message.pk))


def message_written(message: Message) -> None:
    """As `message_changed`, for who holds the row's lock and has `message` as this transaction leaves it.

    One query less, on the way to the first word.
    """
    _tell_message("message.updated", message)


def _tell_message(type_: str, message: Message) -> None:
    # What this transaction has just written has, by this very transaction, its job or its lease.
    data = wire.message_json(message, alive=not message.is_finished)
    _on_commit(message.session_id, encode(type_, message=data))


def message_reset(message: Message, content: str, ends: tuple[int, ...]) -> None:
    """The answer is being written again, from `content` on: the text of its rounds of tool calls, which end at `ends`."""
    html, _ = markup.blocks_by_round(content, ends)
    frame = encode(
        "message.reset",
        message_id=str(message.pk),
        attempt=message.attempt,
        seq=0,
        content=content,
        html=html,
        reasoning=wire.reasoning_json(message.reasoned, message.reasoning_tokens),
    )
    _on_commit(message.session_id, frame)


def tool_calls_changed(message_id: UUID) -> None:
    """Tells the tool calls of an answer as they stand in this transaction, which has written the answer's row."""
    message = Message.objects.with_calls().get(pk=message_id)
    calls = wire.calls_of(message)
    _, ends = markup.blocks_by_round(message.content, wire.round_ends(calls))
    frame = encode(
        "message.tool_calls",
        message_id=str(message_id),
        version=message.version,
        tool_calls=wire.calls_json(calls, ends),
    )
    _on_commit(message.session_id, frame)


async def tool_status(claim: Claim, call_id: UUID, text: str) -> None:
    """What a running tool says about itself. Nothing stores it: whoever joins later reads what the tool is called."""
    frame = encode(
        "message.tool_status",
        message_id=str(claim.message_id),
        attempt=claim.attempt,
        call_id=str(call_id),
        text=text,
    )
    await send_frame(claim.session_id, frame)


async def turn_status(claim: Claim, text: str) -> None:
    """What a turn is waiting for, where that is not the usual. Nothing stores it: the next delta takes its place."""
    frame = encode("message.turn_status", message_id=str(claim.message_id), attempt=claim.attempt, text=text)
    await send_frame(claim.session_id, frame)


def summary_made(summary: Summary) -> None:
    """Tells that older messages have been summarised for the model."""
    _on_commit(summary.session_id, encode("summary.created", summary=summary.as_json()))


def tell_session(session: ChatSession, running: bool) -> None:
    """Tells the session's own fields, and all its people's lists of it."""
    _on_commit(session.pk, encode("session.updated", session=wire.session_json(session, None, running=running)))
    _tell_all_lists(session, running=running)


def tell_lists_again(session_ids: Iterable[UUID]) -> None:
    """Tells the lists of all their people how these sessions stand: what had been told before may be lost."""
    for session in ChatSession.objects.filter(pk__in=session_ids):
        _tell_all_lists(session, running=session.messages.running().exists())


def participant_changed(type_: str, participant: Participant) -> None:
    """Tells the session of one of its people, and that person's list of sessions of the session."""
    _on_commit(participant.session_id, encode(type_, participant=participant.as_json()))
    list_changed(participant)


def list_changed(participant: Participant) -> None:
    """Tells one person's list how a session now stands in it: new, read, archived, or with another role."""
    _tell_lists([participant], running=participant.session.messages.running().exists())


def participant_gone(type_: str, session_id: UUID, participant: dict[str, Any]) -> None:
    """`participant` as it was: it is no more."""
    _on_commit(session_id, encode(type_, participant=participant))


def role_changed(session_id: UUID, user_id: UserId, role: str) -> None:
    """What that person's open sockets may be asked for from now on."""
    _to_sockets(session_id, {"type": "role.changed", "user_id": shown_id(user_id), "role": role})


def shared_changed(session_id: UUID, shared: bool) -> None:
    _on_commit(session_id, encode("session.shared", shared=shared))


def share_ended(session_id: UUID) -> None:
    """Whoever reads along by the session's link is sent away."""
    _to_sockets(session_id, {"type": "share.ended"})


def access_ended(session_id: UUID, user_id: UserId = None) -> None:
    """The session is gone, or (with `user_id`) that person is no longer in it: their sockets close, their lists lose it.

    Of a whole session this is told while it still has its participants.
    """
    _to_sockets(session_id, {"type": "access.ended", "user_id": shown_id(user_id)})
    gone = encode("list.removed", session_id=str(session_id))
    people = Participant.objects.filter(session=session_id).values_list("user_id", flat=True)
    _to_lists(dict.fromkeys(people if user_id is None else [user_id], gone))


def _tell_all_lists(session: ChatSession, *, running: bool) -> None:
    participants = _PARTICIPANTS.all(session=session.pk)
    for participant in participants:
        participant.session = session  # as the caller has it
    _tell_lists(participants, running=running)


def _tell_lists(participants: list[Participant], *, running: bool) -> None:
    _to_lists({p.user_id: encode("list.updated", session=wire.listed_json(p, running=running)) for p in participants})


def _to_lists(frames: dict[UserId, str]) -> None:
    async def send() -> None:
        for user_id, frame in frames.items():
            await _send(group_of_user(user_id), _relay(frame))

    if frames:
        transaction.on_commit(lambda: _run(send()))


def stop_turn(worker: str, message_id: UUID, attempt: int) -> None:
    """Tells a worker by its mailbox that the turn is no longer its own. Only a shortcut: its next write says so too."""
    event = {"type": "turn.stop", "message_id": str(message_id), "attempt": attempt}
    transaction.on_commit(lambda: mailbox.put(worker, event))


# --- sending ---


async def send_frame(session_id: UUID | str, frame: str) -> None:
    """Sends an encoded frame to everyone who views the session. Never raises: viewers resync, work goes on."""
    await _send(group_of(session_id), _relay(frame))


def _on_commit(session_id: UUID, frame: str) -> None:
    transaction.on_commit(lambda: _run(send_frame(session_id, frame)))


def _to_sockets(session_id: UUID, event: dict[str, Any]) -> None:
    group = group_of(session_id)
    transaction.on_commit(lambda: _run(_send(group, event)))


async def _send(group: str, event: dict[str, Any]) -> None:
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
    global _making_up
    if len(_owed) < MOST_OWED:
        _owed.add(group)
    with _lock:
        if _making_up is None or _making_up.done() or _making_up.get_loop().is_closed():
            _making_up = asyncio.create_task(_make_up(), name="making up")


async def _make_up() -> None:
    while _owed:
        await asyncio.sleep(MAKE_UP_SECONDS)
        for group in list(_owed):
            # Before it is sent: a frame that is lost from here on is owed anew.
            _owed.discard(group)
            try:
                await _publish(group, {"type": "viewer.resync"})
            except (*valkey.Unavailable, TimeoutError):
                _owed.add(group)
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
