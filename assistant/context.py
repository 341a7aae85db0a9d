"""Stored history -> what the model is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from assistant import conf
from assistant.models.message import Author, Claim, Message, Status
from assistant.models.participant import display_name
from assistant.models.session import Replies

ChatMessage = dict[str, str]

SEVERAL_PEOPLE = (
    "Several people talk with you here. Each of their messages begins with the name of its author and a colon, which "
    "was put there for you; begin no answer of yours with a name like that. Your answer is to the last message."
)
ONLY_WHEN_MENTIONED = "They also talk among themselves: you answer only the messages that mention you with an @."


@dataclass(frozen=True, slots=True)
class Prompt:
    model: str
    messages: list[ChatMessage]  # OpenAI's chat format: {"role", "content"}
    user_id: int | None  # who asked
    parameters: Mapping[str, Any] = field(default_factory=dict)  # by litellm's names: temperature, max_tokens, ...


def prompt_for(claim: Claim) -> Prompt | None:
    """The prompt for the answer that `claim` holds, or None if the message is gone.

    Each question before it with what joined it while it was answered and the newest answer that has text; then the
    question that it answers. Where several people have spoken, each question begins with its author's name.
    """
    answer = (
        Message.objects.filter(pk=claim.message_id).select_related("reply_to", "session", "system_prompt").first()
    )
    if answer is None or answer.reply_to is None:
        return None
    relevant = Q(position__lte=answer.reply_to.position) | Q(taken_by__reply_to=answer.reply_to)
    before = answer.session.messages.filter(relevant).select_related("author")
    said = before.filter(status__in=(Status.SUCCESS, Status.ERROR, Status.CANCELLED)).current()
    kept = [m for m in said if m.is_answer or m.status == Status.SUCCESS]
    authors = {m.author_id for m in kept if not m.is_answer}
    is_named = len(authors) > 1
    messages = _newest_answers(_in_order(kept, answer))
    lines = [_line(m, named=is_named) for m in messages]
    system = _system(answer, is_named=is_named)
    prompt: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    return Prompt(answer.model, prompt + lines, answer.reply_to.author_id, answer.parameters)


def _system(answer: Message, *, is_named: bool) -> str:
    """One system message, for some providers take only one: the installation's, the session's, who is speaking."""
    parts = [
        conf.get("ASSISTANT_SYSTEM_PROMPT"),
        answer.system_prompt.text if answer.system_prompt else "",
        SEVERAL_PEOPLE if is_named else "",
        ONLY_WHEN_MENTIONED if is_named and answer.session.replies == Replies.MENTION else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _in_order(messages: list[Message], answer: Message) -> list[Message]:
    """By position, but what an answer took along stands between that answer and its question."""
    taken_at = {m.pk: m.position for m in [*messages, answer] if m.is_answer}

    def place(message: Message) -> tuple[float, int, Any]:
        taken = taken_at.get(message.taken_by_id) if message.taken_by_id else None
        return (message.position if taken is None else taken - 0.5, message.position, message.pk)

    return sorted(messages, key=place)


def _newest_answers(messages: list[Message]) -> list[Message]:
    """Drops answers without text, and of several answers to one question all but the newest."""
    answered = {m.reply_to_id: m.pk for m in messages if m.is_answer and m.content.strip()}
    return [m for m in messages if not m.is_answer or answered.get(m.reply_to_id) == m.pk]


def _line(message: Message, *, named: bool) -> ChatMessage:
    if message.role == Author.ASSISTANT:
        return {"role": "assistant", "content": message.content}
    name = f"{display_name(message.author)}: " if named and message.author else ""
    return {"role": "user", "content": name + message.content}
