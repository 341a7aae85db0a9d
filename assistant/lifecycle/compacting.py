"""What is read and stored when a conversation has become too long for its model."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from assistant import events
from assistant.context import history_before, spoken
from assistant.models.message import Claim, Message
from assistant.models.session import ChatSession
from assistant.models.summary import Summary


@dataclass(frozen=True, slots=True)
class Part:
    """The older part of a conversation, that a summary is to stand for."""

    session_id: UUID
    until_position: int
    previous: str  # the summary of what was before, if there is one
    lines: list[str]  # "Name: text", oldest first


def part_to_summarise(claim: Claim, share: float) -> Part | None:
    """The oldest questions with their answers that make up `share` (0 to 1) of the text before the present question.

    None: there is nothing before it that isn't summarised already, or the claim no longer holds.
    """
    answer = Message.objects.held_by(claim).select_related("reply_to", "session").first()
    if answer is None or answer.reply_to is None:
        return None
    question = answer.reply_to
    summary = Summary.before(answer.session, question.position)
    lines: list[tuple[int, str]] = []  # (position of the question that it belongs to, line)
    belongs = 0
    for message in history_before(answer, summary):
        if message.position >= question.position:
            break
        if not message.is_answer and message.taken_by_id is None:
            belongs = message.position
        lines.append((belongs, spoken(message)))
    if not lines:
        return None
    wanted = share * sum(len(line) for _, line in lines)
    taken, until = 0, lines[0][0]
    for position, line in lines:
        if taken >= wanted and position != until:
            break
        taken, until = taken + len(line), position
    older = [line for position, line in lines if position <= until]
    # A question's answers stand at the position after it.
    return Part(answer.session_id, until + 1, summary.content if summary else "", older)


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
