"""What the people in a session are told.

Verbs announce inside their transaction; the frame is made then (it shows the state after the change) and sent once the
transaction has committed. Whoever did something learns of it by the same frame as everyone else. Deltas are told elsewhere:
their frames are encoded by `worker.streaming` and published by the script that appends them to the live text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction

from assistant import markup
from assistant.delivery import mailbox
from assistant.models.message import Claim, Message
from assistant.models.participant import Participant
from assistant.models.session import ChatSession
from assistant.models.summary import Summary
from assistant.models.user_id import UserId, shown_id
from assistant.presentation import broadcast, wire
from assistant.statements import Select

_PARTICIPANTS = Select(Participant, lambda p: Participant.objects.filter(session_id=p("session")))


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
    broadcast.on_commit(message.session_id, wire.encode(type_, message=data))


def message_reset(message: Message, content: str, ends: tuple[int, ...]) -> None:
    """The answer is being written again, from `content` on: the text of its rounds of tool calls, which end at `ends`."""
    html, _ = markup.blocks_by_round(content, ends)
    frame = wire.encode(
        "message.reset",
        message_id=str(message.pk),
        attempt=message.attempt,
        seq=0,
        content=content,
        html=html,
        reasoning=wire.reasoning_json(message.reasoned, message.reasoning_tokens),
    )
    broadcast.on_commit(message.session_id, frame)


def tool_calls_changed(message_id: UUID) -> None:
    """Tells the tool calls of an answer as they stand in this transaction, which has written the answer's row."""
    message = Message.objects.with_calls().get(pk=message_id)
    calls = wire.calls_of(message)
    _, ends = markup.blocks_by_round(message.content, wire.round_ends(calls))
    frame = wire.encode(
        "message.tool_calls",
        message_id=str(message_id),
        version=message.version,
        tool_calls=wire.calls_json(calls, ends),
    )
    broadcast.on_commit(message.session_id, frame)


async def tool_status(claim: Claim, call_id: UUID, text: str) -> None:
    """What a running tool says about itself. Nothing stores it: whoever joins later reads what the tool is called."""
    frame = wire.encode(
        "message.tool_status",
        message_id=str(claim.message_id),
        attempt=claim.attempt,
        call_id=str(call_id),
        text=text,
    )
    await broadcast.send_frame(claim.session_id, frame)


async def turn_status(claim: Claim, text: str) -> None:
    """What a turn is waiting for, where that is not the usual. Nothing stores it: the next delta takes its place."""
    frame = wire.encode("message.turn_status", message_id=str(claim.message_id), attempt=claim.attempt, text=text)
    await broadcast.send_frame(claim.session_id, frame)


def summary_made(summary: Summary) -> None:
    """Tells that older messages have been summarised for the model."""
    broadcast.on_commit(summary.session_id, wire.encode("summary.created", summary=summary.as_json()))


def tell_session(session: ChatSession, running: bool) -> None:
    """Tells the session's own fields, and all its people's lists of it."""
    broadcast.on_commit(
        session.pk, wire.encode("session.updated", session=wire.session_json(session, None, running=running))
    )
    _tell_all_lists(session, running=running)


def tell_lists_again(session_ids: Iterable[UUID]) -> None:
    """Tells the lists of all their people how these sessions stand: what had been told before may be lost."""
    for session in ChatSession.objects.filter(pk__in=session_ids):
        _tell_all_lists(session, running=session.messages.running().exists())


def participant_changed(type_: str, participant: Participant) -> None:
    """Tells the session of one of its people, and that person's list of sessions of the session."""
    broadcast.on_commit(participant.session_id, wire.encode(type_, participant=participant.as_json()))
    list_changed(participant)


def list_changed(participant: Participant) -> None:
    """Tells one person's list how a session now stands in it: new, read, archived, or with another role."""
    _tell_lists([participant], running=participant.session.messages.running().exists())


def participant_gone(type_: str, session_id: UUID, participant: dict[str, Any]) -> None:
    """`participant` as it was: it is no more."""
    broadcast.on_commit(session_id, wire.encode(type_, participant=participant))


def role_changed(session_id: UUID, user_id: UserId, role: str) -> None:
    """What that person's open sockets may be asked for from now on."""
    broadcast.to_sockets(session_id, {"type": "role.changed", "user_id": shown_id(user_id), "role": role})


def shared_changed(session_id: UUID, shared: bool) -> None:
    broadcast.on_commit(session_id, wire.encode("session.shared", shared=shared))


def share_ended(session_id: UUID) -> None:
    """Whoever reads along by the session's link is sent away."""
    broadcast.to_sockets(session_id, {"type": "share.ended"})


def access_ended(session_id: UUID, user_id: UserId = None) -> None:
    """The session is gone, or (with `user_id`) that person is no longer in it: their sockets close, their lists lose it.

    Of a whole session this is told while it still has its participants.
    """
    broadcast.to_sockets(session_id, {"type": "access.ended", "user_id": shown_id(user_id)})
    gone = wire.encode("list.removed", session_id=str(session_id))
    people = Participant.objects.filter(session=session_id).values_list("user_id", flat=True)
    broadcast.to_lists(dict.fromkeys(people if user_id is None else [user_id], gone))


def _tell_all_lists(session: ChatSession, *, running: bool) -> None:
    participants = _PARTICIPANTS.all(session=session.pk)
    for participant in participants:
        participant.session = session  # as the caller has it
    _tell_lists(participants, running=running)


def _tell_lists(participants: list[Participant], *, running: bool) -> None:
    broadcast.to_lists(
        {p.user_id: wire.encode("list.updated", session=wire.listed_json(p, running=running)) for p in participants}
    )


def stop_turn(worker: str, message_id: UUID, attempt: int) -> None:
    """Tells a worker by its mailbox that the turn is no longer its own. Only a shortcut: its next write says so too."""
    event = {"type": "turn.stop", "message_id": str(message_id), "attempt": attempt}
    transaction.on_commit(lambda: mailbox.put(worker, event))
