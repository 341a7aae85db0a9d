"""What is read and stored when a conversation has become too long for its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import transaction

from assistant.models.attachment import Attachment
from assistant.models.message import Claim, Message
from assistant.models.session import ChatSession
from assistant.models.summary import Summary
from assistant.presentation import events
from assistant.prompt.context import spoken
from assistant.prompt.window import Reading

LEFT_OUT_TIMES = 2  # as much as is told, of what is not
NOT_READ = "(More was said between what is summarised and this; it was too much to be read.)"


@dataclass(frozen=True, slots=True)
class Part:
    """The older part of a conversation, that a summary is to stand for."""

    session_id: UUID
    until_position: int
    previous: str  # the summary of what was before, if there is one
    lines: list[str]  # "Name: text", oldest first


def part_to_summarise(claim: Claim, share: float) -> Part | None:
    """The oldest questions with their answers that make up `share` (0 to 1) of the text before the present question.

    Where not all of it can be told, that is a share of what is told, and with it of what is left out the newest, as much as
    is told twice: each part is read in bounded queries. None: there is nothing before it that isn't summarised already, or
    the claim no longer holds.
    """
    answer = Message.objects.held_by(claim).select_related("reply_to", "session").first()
    if answer is None or answer.reply_to is None:
        return None
    question = answer.reply_to
    has_files = Attachment.objects.filter(session=answer.session).exists()
    reading = Reading(answer, Summary.before(answer.session, question.position), has_files)
    window = read = reading.window()
    if window.is_cut:
        read = replace(reading, times=1 + LEFT_OUT_TIMES).window()
    lines = _lines(read.messages, question)
    if not lines:
        return None
    told_from = window.messages[0].position
    left_out = sum(len(line) for position, line in lines if position < told_from)
    wanted = left_out + share * sum(len(line) for position, line in lines if position >= told_from)
    taken, until = 0, lines[0][0]
    for position, line in lines:
        if taken >= wanted and position != until:
            break
        taken, until = taken + len(line), position
    older = [line for position, line in lines if position <= until]
    previous = reading.summary.content if reading.summary else ""
    # A question's answers stand at the position after it.
    return Part(answer.session_id, until + 1, previous, [NOT_READ, *older] if read.is_cut else older)


def _lines(messages: Sequence[Message], question: Message) -> list[tuple[int, str]]:
    """What was said before `question`, each with the position of the question that it belongs to."""
    lines: list[tuple[int, str]] = []
    belongs = 0
    for message in messages:
        if message.position >= question.position:
            break
        if not message.is_answer and message.taken_by_id is None:
            belongs = message.position
        lines.append((belongs, spoken(message)))
    return lines


def store(claim: Claim, part: Part, content: str, model: str) -> bool:
    """Stores the summary, and tells it. False: the claim no longer holds, and nothing was stored.

    Messages up to there are no longer sent to the model; nothing is deleted.
    """
    with transaction.atomic():
        session = ChatSession.objects.locked(part.session_id)
        if session is None or not Message.objects.held_by(claim).exists():
            return False
        summary, _ = Summary.objects.update_or_create(
            session=session,
            until_position=part.until_position,
            defaults={"content": content, "model": model},
        )
        events.summary_made(summary)
    return True
