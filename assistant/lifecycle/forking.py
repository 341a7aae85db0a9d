"""A session of one's own that begins as another one stood at a message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import Model, Q

from assistant.lifecycle import session_changes
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import Attachment
from assistant.models.ids import new_id
from assistant.models.message import UNFINISHED, Message, MessageRole, Status
from assistant.models.participant import Participant, Role
from assistant.models.provider_state import ProviderState
from assistant.models.session import ChatSession, TitledBy
from assistant.models.system_prompt import SystemPrompt
from assistant.models.tool_call import ToolCall
from assistant.presentation import events

BATCH = 500  # messages in one transaction: a fraction of a second

SETTINGS = ("model", "system_prompt", "parameters", "replies", "when_busy", "services")

M = TypeVar("M", bound=Model)


def fork(message: Message, by: Any) -> Participant:
    """A new session, owned by `by` alone, with everything said up to `message` and the same settings; its owner's row.

    An answer is taken without its other versions, for the newest one is what a conversation goes on with; earlier
    answers keep all of theirs. What waits or was withdrawn stays behind. Texts are copied, files are shared, the bill
    stays with the original. Raises Refused (not_finished, not_found).

    Copied in parts, each a transaction of its own: where there is one writer only (SQLite) everybody waits for it, workers'
    heartbeats too. Until the last part is there nobody takes part in the new session, so nobody sees it. If a death cuts
    that short, what is there remains for operators to delete.
    """
    copy = _begin(message)
    try:
        for batch in _batches(list(copy.ids)):
            _copy_messages(copy, batch)
        return _finish(copy, by)
    except (Refused, DatabaseError):
        with contextlib.suppress(Refused, DatabaseError):
            session_changes.delete(copy.session)
        raise


@dataclass
class _Copy:
    """A session in the making, and what each row of the old one is in it."""

    session: ChatSession
    ids: dict[UUID, UUID]
    prompts: dict[UUID, UUID]
    superseded: dict[UUID, UUID] = field(default_factory=dict)  # known at once, true when both are there


def _begin(message: Message) -> _Copy:
    with transaction.atomic():
        source = ChatSession.objects.locked(message.session_id)
        if source is None:
            raise _gone()
        message = source.messages.get(pk=message.pk)
        if not message.is_finished:
            raise Refused("not_finished", "This message has not ended yet. Fork from it once it has.")
        if _withdrawn(message):
            raise Refused("not_finished", "This message was withdrawn; there is nothing to go on from.")
        session = _like(source)
        prompts = {prompt: new_id() for prompt in source.system_prompts.all()}
        _insert(SystemPrompt, [_copy(prompt, pk=pk, session_id=session.pk) for prompt, pk in prompts.items()])
        before = Q(position__lt=message.position) | Q(pk=message.pk) | Q(taken_by=message.pk)
        found = source.messages.filter(before).exclude(status__in=UNFINISHED)
        found = found.exclude(role=MessageRole.USER, status=Status.CANCELLED).in_order()
        ids = {old: new_id() for old in found.values_list("pk", flat=True)}
        return _Copy(session, ids, {prompt.pk: pk for prompt, pk in prompts.items()})


def _gone() -> Refused:
    return Refused("not_found", "This session has been deleted.", status=404)


def _withdrawn(message: Message) -> bool:
    return not message.is_answer and message.status == Status.CANCELLED


def _like(source: ChatSession) -> ChatSession:
    longest = ChatSession._meta.get_field("title").max_length
    settings = {name: getattr(source, name) for name in SETTINGS}
    title = f"Fork of {source.title}"[:longest]
    # A title of the model's would hide where it comes from.
    return ChatSession.objects.create(title=title, titled_by=TitledBy.PERSON, **settings)


def _copy_messages(copy: _Copy, batch: list[UUID]) -> None:
    with transaction.atomic():
        rows = Message.objects.in_bulk(batch)
        if len(rows) < len(batch):
            raise _gone()
        _insert(Message, [_copy_message(rows[old], copy) for old in batch])
        with_rounds = [old for old in batch if rows[old].rounds]
        new_calls = _copy_rounds(copy, with_rounds) if with_rounds else {}
        files = Attachment.objects.filter(message__in=batch).order_by("position", "id")
        _insert(Attachment, [_copy_attachment(attached, copy, new_calls) for attached in files])


def _copy_rounds(copy: _Copy, batch: list[UUID]) -> dict[UUID, UUID]:
    """The calls of these answers, and what their models want back with them; what each call is in the copy."""
    calls = {call: new_id() for call in ToolCall.objects.filter(message__in=batch).in_order()}
    _insert(ToolCall, [_copy(call, pk=pk, message_id=copy.ids[call.message_id]) for call, pk in calls.items()])
    states = ProviderState.objects.filter(message__in=batch)
    _insert(ProviderState, [_copy(state, pk=new_id(), message_id=copy.ids[state.message_id]) for state in states])
    return {call.pk: pk for call, pk in calls.items()}


def _finish(copy: _Copy, by: Any) -> Participant:
    with transaction.atomic():
        session = session_changes.lock(copy.session)
        for old, new in copy.superseded.items():
            session.messages.filter(pk=old).update(superseded_by=new)
        positions = session.messages.order_by("-position").values_list("position", flat=True)
        session.last_position = (positions.first() or 0) // 2 * 2  # a question's is even
        session.save(update_fields=["last_position"])
        owner = Participant.objects.create(session=session, user=by, role=Role.OWNER)
        events.list_changed(owner)
    return owner


def _copy_message(row: Message, copy: _Copy) -> Message:
    def here(old: UUID | None) -> UUID | None:
        return copy.ids.get(old) if old else None

    if successor := here(row.superseded_by_id):
        copy.superseded[copy.ids[row.pk]] = successor
    return _copy(
        row,
        pk=copy.ids[row.pk],
        session_id=copy.session.pk,
        reply_to_id=here(row.reply_to_id),
        taken_by_id=here(row.taken_by_id),
        superseded_by_id=None,
        system_prompt_id=copy.prompts.get(row.system_prompt_id) if row.system_prompt_id else None,
        client_id=None,
        version=1,
        usage=None,
        charged_to_id=None,
    )


def _copy_attachment(attached: Attachment, copy: _Copy, calls: Mapping[UUID, UUID]) -> Attachment:
    """The same file, as `Attachment.copy_to` makes it: nobody's upload."""
    assert attached.message_id is not None
    return _copy(
        attached, pk=new_id(), session_id=copy.session.pk, message_id=copy.ids[attached.message_id],
        call_id=calls[attached.call_id] if attached.call_id else None, uploader_id=None, free_since=None,
    )  # fmt: skip


def _copy(row: M, **changes: Any) -> M:
    """A row with all that the other one has, except `changes`; not stored yet."""
    copy = type(row)(**{field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields})
    for name, value in changes.items():
        setattr(copy, name, value)
    copy._state.adding = True
    return copy


def _insert(model: type[M], rows: Sequence[M]) -> None:
    model._default_manager.bulk_create(rows)


def _batches(items: Sequence[UUID]) -> Iterator[list[UUID]]:
    left = iter(items)
    while batch := list(islice(left, BATCH)):
        yield batch
