"""Stored history -> what the model is sent."""

from __future__ import annotations

from dataclasses import dataclass

from assistant import conf
from assistant.models.message import Author, Claim, Message, Status
from assistant.models.participant import display_name

ChatMessage = dict[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    model: str
    messages: list[ChatMessage]  # OpenAI's chat format: {"role", "content"}
    user_id: int | None  # who asked


def prompt_for(claim: Claim) -> Prompt | None:
    """The prompt for the answer that `claim` holds, or None if the message is gone.

    Each question before it with the newest answer that has text; then the question that it answers. Where several
    people have spoken, each question begins with its author's name.
    """
    answer = Message.objects.filter(pk=claim.message_id).select_related("reply_to", "session").first()
    if answer is None or answer.reply_to is None:
        return None
    before = answer.session.messages.filter(position__lte=answer.reply_to.position).select_related("author")
    said = before.filter(status__in=(Status.SUCCESS, Status.ERROR, Status.CANCELLED)).in_order()
    kept = [m for m in said if m.is_answer or m.status == Status.SUCCESS]
    authors = {m.author_id for m in kept if not m.is_answer}
    messages = _newest_answers(kept)
    lines = [_line(m, named=len(authors) > 1) for m in messages]
    system = conf.get("ASSISTANT_SYSTEM_PROMPT")
    prompt: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    return Prompt(answer.model, prompt + lines, answer.reply_to.author_id)


def _newest_answers(messages: list[Message]) -> list[Message]:
    """Drops answers without text, and of several answers to one question all but the newest."""
    answered = {m.reply_to_id: m.pk for m in messages if m.is_answer and m.content.strip()}
    return [m for m in messages if not m.is_answer or answered.get(m.reply_to_id) == m.pk]


def _line(message: Message, *, named: bool) -> ChatMessage:
    if message.role == Author.ASSISTANT:
        return {"role": "assistant", "content": message.content}
    name = f"{display_name(message.author)}: " if named and message.author else ""
    return {"role": "user", "content": name + message.content}
