"""Stored history -> what the model is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Model
from django.db.models.expressions import RawSQL

from assistant import conf, llm
from assistant.models.attachment import Attachment, StoredFile
from assistant.models.message import Claim, Message, MessageRole, Status
from assistant.models.participant import display_name
from assistant.models.session import Replies
from assistant.models.summary import Summary
from assistant.models.user_id import UserId
from assistant.prompt import file_contents
from assistant.prompt.history import ChatMessage, lines_of_rounds
from assistant.prompt.window import ContextWindow, Reading
from assistant.statements import Select
from assistant.text.blank import is_blank
from assistant.toolbox import registry

SEVERAL_PEOPLE = (
    "Several people talk with you here. Each of their messages begins with the name of its author and a colon, which "
    "was put there for you; begin no answer of yours with a name like that. Your answer is to the last message."
)
ONLY_WHEN_MENTIONED = "They also talk among themselves: you answer only the messages that mention you with an @."

YOURS = "[No word of a person’s: the images that you have made in your answer.]"
LEFT_OUT = (
    "Of what was said here only the newest follows; what was said before is left out, for there was too much of it."
)
SUMMARISED = "What was said here before the messages below is summarised, because it was too long to be sent:"


@dataclass(frozen=True, slots=True)
class Prompt:
    model: str
    messages: list[ChatMessage]  # OpenAI's chat format: {"role", "content"}
    user_id: UserId  # whoever caused it to be written: who asked, or wanted another answer
    parameters: Mapping[str, Any] = field(default_factory=dict)  # by litellm's names: temperature, max_tokens, ...
    services: tuple[str, ...] = ()  # names of the services whose tools the model may use
    user: Any = None  # the same
    user_context: Mapping[str, Any] = field(default_factory=dict)  # what the project says of them
    continuations: int = 0  # how often this answer went on in a fresh job
    unread: Sequence[StoredFile] = ()  # files that have to be read before it says what is in them
    is_cut: bool = False  # older messages are left out, for which no summary stands


def _any_of_session(model: type[Model]) -> RawSQL:
    """Whether an answer's session has any. Django takes longer to compile an Exists() than the whole of this query."""
    answers, rows = Message._meta.db_table, model._meta.db_table
    sql = f"EXISTS (SELECT 1 FROM {rows} WHERE {rows}.session_id = {answers}.session_id)"
    return RawSQL(sql, (), output_field=BooleanField())


_ANY_FILE, _ANY_SUMMARY = _any_of_session(Attachment), _any_of_session(Summary)
_AROUND = ("reply_to__author", "session", "system_prompt")
_ASKED = (
    *_AROUND, "role", "status", "position", "content", "taken_by", "rounds", "continuations", "model", "parameters",
    "pictures", "charged_to", "reply_to__position",
)  # fmt: skip


_ANSWER = Select(
    Message,
    lambda p: (
        Message.objects.filter(pk=p("id"), reply_to__isnull=False)
        .select_related(*_AROUND)
        .only(*_ASKED)
        .annotate(has_files=_ANY_FILE, has_summary=_ANY_SUMMARY)
    ),
)


def prompt_for(claim: Claim, longest_result: int | None = None) -> Prompt | None:
    """The prompt for the answer that `claim` holds, or None if the message is gone.

    Each question before it with what joined it while it was answered and the newest answer that has text; then the
    question that it answers, and the rounds of tool calls that are done. Where several people have spoken, each question
    begins with its author's name. Where older messages have been summarised, the summary stands for them. Where there is
    more than the model can be told (see `assistant.prompt.window`), the oldest is left out.

    `longest_result`: characters of a tool's result that the model is told, where the whole would be too long for it.
    """
    answer = _answer_of(claim)
    if answer is None:
        return None
    summary = Summary.before(answer.session, answer.reply_to.position) if answer.has_summary else None
    reading = Reading(answer, summary, answer.has_files, longest_result)
    return _prompt(answer, reading, reading.window())


def _answer_of(claim: Claim) -> Any:
    return _ANSWER.one(id=claim.message_id)


def _prompt(answer: Any, reading: Reading, window: ContextWindow) -> Prompt:
    summary, messages = reading.summary, window.messages
    files, unread = _files_of([*messages, answer], answer.model) if answer.has_files else ({}, [])
    is_named = _is_shared(answer, messages, is_all=summary is None and not window.is_cut)
    services = tuple(answer.session.services)
    actor = _actor(answer)
    user_context = registry.user_context(actor, answer.session)
    longest = reading.longest_result
    lines = _lines([*messages, answer], files, named=is_named, with_calls=bool(services), longest_result=longest)
    system = _system(answer, user_context, summary, is_named=is_named, is_cut=window.is_cut)
    prompt: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    return Prompt(
        answer.model,
        prompt + lines,
        answer.charged_to_id,
        answer.parameters,
        services,
        actor,
        user_context,
        answer.continuations,
        unread,
        window.is_cut,
    )


def _actor(answer: Any) -> Any:
    """In whose name its tools act: not of who asked, where somebody else wanted another answer. None: they are gone."""
    author = answer.reply_to.author  # is there already: most often it is they
    return author if author is not None and author.pk == answer.charged_to_id else answer.charged_to


def _files_of(messages: list[Message], model: str) -> tuple[dict[Any, Any], list[StoredFile]]:
    """What `model` is given of the files in `messages`, as `attached.parts_of` has it; and those to be read before.

    They come with their files, as `assistant.prompt.window` reads them.
    """
    sees = file_contents.has_images(messages) and llm.sees(model)
    return file_contents.parts_of(messages, sees=sees), file_contents.unread(messages)


def _is_shared(answer: Message, messages: list[Message], *, is_all: bool) -> bool:
    """Whether several people have spoken, in what is not told as well."""
    several = len({m.author_id for m in messages if not m.is_answer}) > 1
    if several or is_all:
        return several
    assert answer.reply_to is not None
    said = answer.session.messages.filter(role=MessageRole.USER, status=Status.SUCCESS)
    return said.exclude(author=answer.reply_to.author_id).exists()


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
            lines.append({"role": "user", "content": file_contents.content(YOURS, files[message.pk])})
    return lines


def _system(
    answer: Message, user_context: Mapping[str, Any], summary: Summary | None, *, is_named: bool, is_cut: bool
) -> str:
    """One system message, for some providers take only one: the installation's, the session's, who is speaking."""
    parts = [
        conf.settings.system_prompt,
        answer.system_prompt.text if answer.system_prompt else "",
        SEVERAL_PEOPLE if is_named else "",
        ONLY_WHEN_MENTIONED if is_named and answer.session.replies == Replies.MENTION else "",
        str(user_context.get("about", "")),
        f"{SUMMARISED}\n\n{summary.content}" if summary else "",
        LEFT_OUT if is_cut else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _line(message: Message, files: Mapping[Any, Any], *, named: bool) -> ChatMessage:
    if message.role == MessageRole.ASSISTANT:
        return {"role": "assistant", "content": message.content}
    name = f"{display_name(message.author)}: " if named and message.author else ""
    return {"role": "user", "content": file_contents.content(name + message.content, files.get(message.pk, ()))}
