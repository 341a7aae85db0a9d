"""A session of one's own that begins as another one stood at a message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Model, Q

from assistant import events
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import Attachment
from assistant.models.ids import new_id
from assistant.models.message import UNFINISHED, Author, Message, Status
from assistant.models.participant import Participant, Role
from assistant.models.session import ChatSession, TitledBy
from assistant.models.system_prompt import SystemPrompt
from assistant.models.tool_call import ToolCall

BATCH = 500

SETTINGS = ("model", "system_prompt", "parameters", "replies", "when_busy", "services")

M = TypeVar("M", bound=Model)


def fork(message: Message, by: Any) -> Participant:
    """A new session, owned by `by` alone, with everything said up to `message` and the same settings; its owner's row.

    An answer is taken without its other versions, for the newest one is what a conversation goes on with; earlier
    answers keep all of theirs. What waits or was withdrawn stays behind. Texts are copied, files are shared, the bill
    stays with the original. Raises Refused (not_finished, not_found).
    """
    with transaction.atomic():
        source = ChatSession.objects.locked(message.session_id)
        if source is None:
            raise Refused("not_found", "This session has been deleted.", status=404)
        message = source.messages.get(pk=message.pk)
        if not message.is_finished:
            raise Refused("not_finished", "This message has not ended yet. Fork from it once it has.")
        if _withdrawn(message):
            raise Refused("not_finished", "This message was withdrawn; there is nothing to go on from.")
        session = _like(source)
        owner = Participant.objects.create(session=session, user=by, role=Role.OWNER)
        _copy_messages(source, session, message)
        session.refresh_from_db()
        owner.session = session
        events.list_changed(owner)
    return owner


def _withdrawn(message: Message) -> bool:
    return not message.is_answer and message.status == Status.CANCELLED


def _like(source: ChatSession) -> ChatSession:
    longest = ChatSession._meta.get_field("title").max_length
    settings = {name: getattr(source, name) for name in SETTINGS}
    title = f"Fork of {source.title}"[:longest]
    # A title of the model's would hide where it comes from.
    return ChatSession.objects.create(title=title, titled_by=TitledBy.PERSON, **settings)


def _copy_messages(source: ChatSession, session: ChatSession, last: Message) -> None:
    before = Q(position__lt=last.position) | Q(pk=last.pk) | Q(taken_by=last.pk)
    found = source.messages.filter(before).exclude(status__in=UNFINISHED)
    found = found.exclude(role=Author.USER, status=Status.CANCELLED).in_order()
    ids = {old: new_id() for old in found.values_list("pk", flat=True)}
    prompts = {prompt.pk: new_id() for prompt in source.system_prompts.all()}
    _insert(
        SystemPrompt,
        [_copy(prompt, pk=prompts[prompt.pk], session_id=session.pk) for prompt in source.system_prompts.all()],
    )
    for batch in _batches(list(ids)):
        rows = Message.objects.in_bulk(batch)
        _insert(Message, [_copy_message(rows[old], session, ids, prompts) for old in batch])
        calls = ToolCall.objects.filter(message__in=batch).in_order()
        _insert(ToolCall, [_copy(call, pk=new_id(), message_id=ids[call.message_id]) for call in calls])
        files = Attachment.objects.filter(message__in=batch).order_by("position", "id")
        _insert(Attachment, [_copy_attachment(attached, session, ids) for attached in files])
    positions = session.messages.order_by("-position").values_list("position", flat=True)
    session.last_position = (positions.first() or 0) // 2 * 2  # a question's is even
    session.save(update_fields=["last_position"])


def _copy_message(row: Message, session: ChatSession, ids: dict[UUID, UUID], prompts: dict[UUID, UUID]) -> Message:
    def here(old: UUID | None) -> UUID | None:
        return ids.get(old) if old else None

    return _copy(
        row,
        pk=ids[row.pk],
        session_id=session.pk,
        reply_to_id=here(row.reply_to_id),
        taken_by_id=here(row.taken_by_id),
        superseded_by_id=here(row.superseded_by_id),
        system_prompt_id=prompts.get(row.system_prompt_id) if row.system_prompt_id else None,
        client_id=None,
        version=1,
        usage=None,
        charged_to_id=None,
    )


def _copy_attachment(attached: Attachment, session: ChatSession, ids: dict[UUID, UUID]) -> Attachment:
    """The same file, as `Attachment.copy_to` makes it: nobody's upload."""
    assert attached.message_id is not None
    return _copy(
        attached, pk=new_id(), session_id=session.pk, message_id=ids[attached.message_id], uploader_id=None,
        free_since=None,
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
