"""Stored history -> what the model is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Model, Prefetch, Q, prefetch_related_objects
from django.db.models.expressions import RawSQL

from assistant import attached, conf, llm
from assistant.blank import is_blank
from assistant.history import ChatMessage, lines_of_rounds
from assistant.models.attachment import Attachment, StoredFile
from assistant.models.message import Author, Claim, Message, Status
from assistant.models.one import one
from assistant.models.participant import display_name
from assistant.models.session import Replies
from assistant.models.summary import Summary
from assistant.tools import registry

SEVERAL_PEOPLE = (
    "Several people talk with you here. Each of their messages begins with the name of its author and a colon, which "
    "was put there for you; begin no answer of yours with a name like that. Your answer is to the last message."
)
ONLY_WHEN_MENTIONED = "They also talk among themselves: you answer only the messages that mention you with an @."

YOURS = "[No word of a person’s: the images that you have made in your answer.]"
SUMMARISED = "What was said here before the messages below is summarised, because it was too long to be sent:"


@dataclass(frozen=True, slots=True)
class Prompt:
    model: str
    messages: list[ChatMessage]  # OpenAI's chat format: {"role", "content"}
    user_id: int | None  # who asked
    parameters: Mapping[str, Any] = field(default_factory=dict)  # by litellm's names: temperature, max_tokens, ...
    services: tuple[str, ...] = ()  # names of the services whose tools the model may use
    user: Any = None  # who asked
    user_context: Mapping[str, Any] = field(default_factory=dict)  # what the project says of them
    continuations: int = 0  # how often this answer went on in a fresh job
    unread: Sequence[StoredFile] = ()  # files that have to be read before it says what is in them


# What is read of a message to tell it: not its HTML, which is longer than its text, and no more columns than needed, for
# the first word waits until Django has written and read each of them.
_TOLD = (
    "session", "author", "role", "status", "position", "content", "reply_to", "taken_by", "taken_round", "rounds",
    "pictures",
)  # fmt: skip


def _any_of_session(model: type[Model]) -> RawSQL:
    """Whether an answer's session has any. Django takes longer to compile an Exists() than the whole of this query."""
    answers, rows = Message._meta.db_table, model._meta.db_table
    sql = f"EXISTS (SELECT 1 FROM {rows} WHERE {rows}.session_id = {answers}.session_id)"
    return RawSQL(sql, (), output_field=BooleanField())


_ANY_FILE, _ANY_SUMMARY = _any_of_session(Attachment), _any_of_session(Summary)
_AROUND = ("reply_to__author", "session", "system_prompt")
_ASKED = (
    *_AROUND, "role", "status", "position", "content", "taken_by", "rounds", "continuations", "model", "parameters",
    "pictures", "reply_to__position",
)  # fmt: skip


def quick_prompt_for(claim: Claim) -> Prompt | None:
    """As `prompt_for`, or None where it takes more than a few queries: files are read, or the project is asked."""
    if conf.get("ASSISTANT_USER_CONTEXT"):
        return None
    answer = _answer_of(claim)
    return None if answer is None or answer.has_files else _prompt(answer)


def prompt_for(claim: Claim, longest_result: int | None = None) -> Prompt | None:
    """The prompt for the answer that `claim` holds, or None if the message is gone.

    Each question before it with what joined it while it was answered and the newest answer that has text; then the
    question that it answers, and the rounds of tool calls that are done. Where several people have spoken, each question
    begins with its author's name. Where older messages have been summarised, the summary stands for them.

    `longest_result`: characters of a tool's result that the model is told, where the whole would be too long for it.
    """
    answer = _answer_of(claim)
    return None if answer is None else _prompt(answer, longest_result)


def _answer_of(claim: Claim) -> Any:
    held = Message.objects.filter(pk=claim.message_id, reply_to__isnull=False).select_related(*_AROUND).only(*_ASKED)
    return one(held.annotate(has_files=_ANY_FILE, has_summary=_ANY_SUMMARY))


def _prompt(answer: Any, longest_result: int | None = None) -> Prompt:
    summary = Summary.before(answer.session, answer.reply_to.position) if answer.has_summary else None
    messages = history_before(answer, summary)
    # Most answers have no calls, and the first word waits for each query.
    prefetch_related_objects([m for m in (*messages, answer) if m.rounds], "tool_calls", "provider_states")
    files, unread = _files_of([*messages, answer], answer.model) if answer.has_files else ({}, [])
    is_named = _speakers(answer, messages, summary) > 1
    services = tuple(answer.session.services)
    asker = answer.reply_to.author
    user_context = registry.user_context(asker, answer.session)
    lines = _lines(
        [*messages, answer], files, named=is_named, with_calls=bool(services), longest_result=longest_result
    )
    system = _system(answer, user_context, summary, is_named=is_named)
    prompt: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    return Prompt(
        answer.model,
        prompt + lines,
        answer.reply_to.author_id,
        answer.parameters,
        services,
        asker,
        user_context,
        answer.continuations,
        unread,
    )


def _files_of(messages: list[Message], model: str) -> tuple[dict[Any, Any], list[StoredFile]]:
    """What `model` is given of the files in `messages`, as `attached.parts_of` has it; and those to be read before."""
    owners = [m for m in messages if not m.is_answer or m.pictures]
    calls = [call for m in messages if m.rounds for call in m.tool_calls.all() if call.image_count]
    prefetch_related_objects(owners, Prefetch("attachments", Attachment.objects.with_texts()))
    prefetch_related_objects(calls, Prefetch("images", Attachment.objects.with_texts()))
    sees = attached.has_images(messages) and llm.sees(model)
    return attached.parts_of(messages, sees=sees), attached.unread(messages)


def history_before(answer: Message, summary: Summary | None) -> list[Message]:
    """What was said up to the question that `answer` answers and with it, in order, of several answers the newest.

    Without what `summary` stands for.
    """
    question = answer.reply_to
    assert question is not None
    relevant = Q(position__lte=question.position) | Q(taken_by__reply_to=question)
    if summary is not None:
        until = summary.until_position
        relevant &= Q(taken_by=None, position__gt=until) | Q(taken_by__position__gt=until)
    before = answer.session.messages.filter(relevant).select_related("author").only(*_TOLD)
    said = before.filter(status__in=(Status.SUCCESS, Status.ERROR, Status.CANCELLED)).current()
    kept = [m for m in said if m.is_answer or m.status == Status.SUCCESS]
    return _newest_answers(_in_order(kept, answer))


def _speakers(answer: Message, messages: list[Message], summary: Summary | None) -> int:
    """How many people have spoken, in what is summarised too."""
    if summary is None:
        return len({m.author_id for m in messages if not m.is_answer})
    asked = answer.session.messages.filter(role=Author.USER, status=Status.SUCCESS)
    return asked.order_by().values("author").distinct().count()


def spoken(message: Message) -> str:
    """A message as a line of a transcript."""
    speaker = "Assistant" if message.is_answer else display_name(message.author) if message.author else "Somebody"
    return f"{speaker}: {message.content}"


def _lines(
    messages: list[Message],
    files: Mapping[Any, Any],
    *,
    named: bool,
    with_calls: bool,
    longest_result: int | None,
) -> list[ChatMessage]:
    """What is said of `messages`, the last of which is the answer that is being written; `files` are their parts.

    What an answer took along stands behind the round that it joined. Where no tools are offered any more, earlier
    answers are told without their calls: some providers take no calls of tools that they aren't told of.
    """
    running = messages[-1]
    told = {m.pk: m for m in messages if m.is_answer and m.rounds and (with_calls or m is running)}
    joined: dict[UUID, dict[int, list[ChatMessage]]] = {pk: {} for pk in told}
    used_ids: set[str] = set()
    lines: list[ChatMessage] = []
    for message in messages:
        taker = told.get(message.taken_by_id) if message.taken_by_id else None
        if taker is not None and message.taken_round:
            at = min(message.taken_round, taker.rounds)
            joined[taker.pk].setdefault(at, []).append(_line(message, files, named=named))
        elif message.pk in told:
            calls = list(message.tool_calls.all())
            content = message.content if message is not running else message.content[: calls[-1].at]
            states = message.provider_states.all()
            lines += lines_of_rounds(content, calls, joined[message.pk], used_ids, longest_result, files, states)
        elif message is not running and not (message.is_answer and is_blank(message.content)):
            lines.append(_line(message, files, named=named))
        if message.is_answer and message is not running and message.pk in files:
            # No model's own words may hold an image, so it stands behind them, as what a user says.
            lines.append({"role": "user", "content": attached.content(YOURS, files[message.pk])})
    return lines


def _system(answer: Message, user_context: Mapping[str, Any], summary: Summary | None, *, is_named: bool) -> str:
    """One system message, for some providers take only one: the installation's, the session's, who is speaking."""
    parts = [
        conf.get("ASSISTANT_SYSTEM_PROMPT"),
        answer.system_prompt.text if answer.system_prompt else "",
        SEVERAL_PEOPLE if is_named else "",
        ONLY_WHEN_MENTIONED if is_named and answer.session.replies == Replies.MENTION else "",
        str(user_context.get("about", "")),
        f"{SUMMARISED}\n\n{summary.content}" if summary else "",
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
    """Drops answers without text and pictures, and of several answers to one question all but the newest."""
    answered = {m.reply_to_id: m.pk for m in messages if m.is_answer and (m.pictures or not is_blank(m.content))}
    return [m for m in messages if not m.is_answer or answered.get(m.reply_to_id) == m.pk]


def _line(message: Message, files: Mapping[Any, Any], *, named: bool) -> ChatMessage:
    if message.role == Author.ASSISTANT:
        return {"role": "assistant", "content": message.content}
    name = f"{display_name(message.author)}: " if named and message.author else ""
    return {"role": "user", "content": attached.content(name + message.content, files.get(message.pk, ()))}
