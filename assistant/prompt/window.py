"""The newest part of a conversation, as much of it as a model can be told: read newest first, in few queries.

A session may have any number of messages, and what is read is held by the worker while it answers. So the reading ends once
the model's limit is full, or at some number of messages. What is older is left to a summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet, prefetch_related_objects

from assistant import conf, llm
from assistant.catalogue import models_of
from assistant.models.attachment import Attachment
from assistant.models.message import Message, MessageQuerySet, Status
from assistant.models.provider_state import ProviderState
from assistant.models.summary import Summary
from assistant.statements import Select
from assistant.text.blank import is_blank

NEAR = 0.85  # of the model's limit: an answer needs room too
LETTERS_PER_TOKEN = 4  # of what is told; what has fewer comes too near to the limit, and is summarised then
SURE = 100_000  # letters that are read whatever the model: then nobody has to know its limit
PAGES = (100, 300, 600)  # messages
SHORT = 60  # positions: of some thirty questions and their answers
AT_ONCE = 50  # messages whose calls and files are read together; these may be long
IMAGE_LETTERS = 4_000

# What is read of a message to tell it: not its HTML, which is longer than its text, and no more columns than needed, for
# the first word waits until Django has written and read each of them.
_TOLD = (
    "session", "author", "role", "status", "position", "content", "reply_to", "taken_by", "taken_round", "rounds",
    "pictures", "is_bounced",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContextWindow:
    messages: list[Message]  # in order, with their calls
    is_cut: bool  # more was said before them, which no summary stands for


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read, and how far."""

    answer: Message  # that is being written
    summary: Summary | None  # without what it stands for
    with_files: bool
    longest_result: int | None = None  # letters of a tool's result that are told
    times: int = 1  # so much more than the model can be told

    def window(self) -> ContextWindow:
        """What was said up to the question that the answer answers, and with it; of several answers the newest with text.

        A question that went back to its author isn't there: no model has heard it, and its author may ask it anew. Where
        not everything is read, it begins with a question, and the present one is always there.
        """
        said, most, last = _Said(self), SURE, None
        pages = (*PAGES, *(sum(PAGES) for _ in range(self.times - 1)))
        for size in pages:
            page, has_more = self._page(last, size)
            for message in self._with_all(page, is_first=last is None):
                said.take(message)
                if said.letters > most and said.has_question:
                    most = max(SURE, room_of(self.answer.model)) * self.times
                    if said.letters > most:
                        return said.window(without=message)
            if not has_more:
                return said.window()
            last = page[-1]
        return said.window(is_cut=True)

    def _page(self, last: Message | None, size: int) -> tuple[list[Message], bool]:
        """What was said before `last`, newest first, up to `size`; and whether there is more.

        Of a short session all: to write an ORDER BY Django looks at each column, which takes longer than to sort them here.
        """
        if last is None and self.summary is None and self.answer.position <= SHORT:
            return sorted(_all_before(self.answer), key=lambda m: (m.position, m.pk), reverse=True), False
        said = _before(self.answer, self.summary, last)
        if last is None and self.answer.position - (self.summary.until_position if self.summary else 0) <= SHORT:
            return sorted(said, key=lambda m: (m.position, m.pk), reverse=True), False
        page = list(said.order_by("-position", "-pk")[: size + 1])
        return page[:size], len(page) > size

    def _with_all(self, page: list[Message], *, is_first: bool) -> Iterator[Message]:
        """The messages, with their calls, what models want back with those, and files. Most have none: no query then."""
        rest, beside = iter(page), [self.answer] if is_first else []
        while some := list(islice(rest, AT_ONCE)):
            called = [m for m in (*beside, *some) if m.rounds]
            prefetch_related_objects(called, "tool_calls", Prefetch("provider_states", self._states()))
            if self.with_files:
                _prefetch_files([*beside, *some])
            yield from some
            beside = []

    def _states(self) -> QuerySet[ProviderState]:
        """Those of the models that may be asked: each may be megabytes, and goes to its own model alone."""
        return ProviderState.objects.filter(model__in=models_of(self.answer.model))


def room_of(model: str) -> int:
    """How many letters of history `model` is told."""
    return int(NEAR * LETTERS_PER_TOKEN * (llm.limit(model) or conf.settings.history_tokens))


def _before(answer: Message, summary: Summary | None, last: Message | None) -> MessageQuerySet:
    """What was said before `last`, or all; what is left of it in a prompt is for `_Said` to say."""
    question = answer.reply_to
    assert question is not None
    relevant = Q(position__lte=question.position) | Q(taken_by__reply_to=question)
    if summary is not None:
        until = summary.until_position
        relevant &= Q(taken_by=None, position__gt=until) | Q(taken_by__position__gt=until)
    if last is not None:
        relevant &= Q(position__lt=last.position) | Q(position=last.position, pk__lt=last.pk)
    return _told(answer.session.messages.filter(relevant))


def _told(messages: MessageQuerySet) -> MessageQuerySet:
    ended = messages.filter(status__in=(Status.SUCCESS, Status.ERROR, Status.CANCELLED))
    return ended.current().select_related("author").only(*_TOLD)


_OF_SHORT = Select(
    Message,
    lambda p: _told(
        Message.objects.filter(
            Q(position__lte=p("position")) | Q(taken_by__reply_to=p("reply_to")), session_id=p("session")
        )
    ),
)


def _all_before(answer: Message) -> list[Message]:
    """As `_before`, for the usual case: a session without summaries, and all of it."""
    question = answer.reply_to
    assert question is not None
    found = _OF_SHORT.all(session=answer.session_id, reply_to=question, position=question.position)
    for message in found:
        message.session = answer.session
    return found


def _prefetch_files(messages: list[Message]) -> None:
    owners = [m for m in messages if not m.is_answer or m.pictures]
    calls = [call for m in messages if m.rounds for call in m.tool_calls.all() if call.image_count]
    prefetch_related_objects(owners, Prefetch("attachments", Attachment.objects.with_texts()))
    prefetch_related_objects(calls, Prefetch("images", Attachment.objects.with_texts()))


class _Said:
    """What has been read so far, newest first."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._question = reading.answer.reply_to
        self._kept: list[Message] = []
        self._positions = {reading.answer.pk: reading.answer.position}  # of answers
        self._newest: dict[UUID | None, Message] = {}  # answers, by their question
        self._answered: set[UUID | None] = set()  # questions with an answer that is told
        self.letters = 0
        self.has_question = False

    def take(self, message: Message) -> None:
        if message.is_answer:
            self._positions[message.pk] = message.position
            self._newest.setdefault(message.reply_to_id, message)
            if message.reply_to_id in self._answered or not (message.pictures or not is_blank(message.content)):
                return
            self._answered.add(message.reply_to_id)
        elif message.status != Status.SUCCESS:
            return  # withdrawn
        elif message == self._question:
            self.has_question = True
            self.letters += self._size(self._reading.answer)  # what it has done so far is told too
        elif message.pk not in self._answered and (newest := self._newest.get(message.pk)) and newest.is_bounced:
            return
        self._kept.append(message)
        self.letters += self._size(message)

    def _size(self, message: Message) -> int:
        size = len(message.content)
        if message.rounds:
            longest = self._reading.longest_result
            for call in message.tool_calls.all():
                size += len(call.arguments) + (
                    len(call.result) if longest is None else min(longest, len(call.result))
                )
            size += sum(len(s.kept) for s in message.provider_states.all() if s.model == self._reading.answer.model)
        if self._reading.with_files and (not message.is_answer or message.pictures):
            size += sum(IMAGE_LETTERS if a.file.is_image else len(a.file.text) for a in message.attachments.all())
        return size

    def window(self, *, is_cut: bool = False, without: Message | None = None) -> ContextWindow:
        """In order. Cut: without what stands before its oldest question, or is taken along by an answer before that."""
        kept = self._kept
        if without is not None:
            is_cut = True
            kept = [m for m in kept if m != without or m == self._question]
        if is_cut:
            begins = [number for number, m in enumerate(kept) if not m.is_answer and m.taken_by_id is None]
            kept = kept[: begins[-1] + 1] if begins else kept
            oldest = kept[-1].position if kept else 0
            kept = [m for m in kept if self._place(m)[0] >= oldest and not self._is_orphan(m)]
        return ContextWindow(sorted(kept, key=self._place), is_cut)

    def _is_orphan(self, message: Message) -> bool:
        """Whether what took it along is older than all that is read. (To the present question all is told.)"""
        assert self._question is not None
        is_read = message.taken_by_id is None or message.taken_by_id in self._positions
        return not is_read and message.position < self._question.position

    def _place(self, message: Message) -> tuple[float, int, Any]:
        """By position, but what an answer took along stands between that answer and its question."""
        taken = self._positions.get(message.taken_by_id) if message.taken_by_id else None
        return (message.position if taken is None else taken - 0.5, message.position, message.pk)
