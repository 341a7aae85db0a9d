"""A whole session as a file: Markdown to read, JSON to keep. Made in pages, so that no session is too long for it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby, starmap
from uuid import UUID

import orjson
from django.db.models import QuerySet
from django.utils import timezone

from assistant import catalogue, markup
from assistant.models import ChatSession, Message, Participant
from assistant.models.message import UNFINISHED, MessageRole, Status
from assistant.models.participant import display_name
from assistant.presentation import wire
from assistant.presentation.snapshot import first_page, page_after

PAGE = 100
LONGEST_NAME = 80
_NO_HTML = {"version": markup.VERSION, "blocks": []}  # questions have none stored: theirs would be drawn
_MARKUP = re.compile(r"[\\`*_\[\]<>~|]")


def file_name(session: ChatSession, ending: str) -> str:
    """A name for the file that every system takes: the title's letters and digits."""
    words = re.findall(r"\w+", unicodedata.normalize("NFC", session.title))
    name = "-".join(words)[:LONGEST_NAME].strip("-_")
    return f"{name or 'session'}.{ending}"


def as_json(session: ChatSession) -> Iterator[bytes]:
    """Everything: each message as the API shows it, all versions, what was withdrawn too. Yields pieces of one object."""
    head = {
        "format": "parley-session",
        "version": 1,
        "exported_at": timezone.now().isoformat(),
        "session": wire.session_json(session, None, running=session.messages.running().exists()),
        "participants": [person.as_json() for person in _people(session)],
    }
    yield orjson.dumps(head)[:-1] + b',"messages":['
    comma = b""
    for message in _messages(session):
        if not message.rounds:  # where calls stand in an answer is told by its blocks
            message.html = _NO_HTML
        data = wire.message_json(message)
        del data["html"]
        yield comma + b"\n" + orjson.dumps(data)
        comma = b","
    yield b"\n]}\n"


def as_markdown(session: ChatSession) -> Iterator[bytes]:
    """The conversation as it goes on: of several versions the newest, who said it and when. Yields pieces of the text."""
    people = ", ".join(display_name(person.user) for person in _people(session))
    now = timezone.now()
    yield f"# {_one_line(session.title)}\n\n{people} · exported {now:%Y-%m-%d %H:%M} UTC\n".encode()
    superseded = set(session.messages.filter(superseded_by__isnull=False).values_list("pk", flat=True))
    for message in _newest(m for m in _messages(session) if _is_shown(m, superseded)):
        yield f"\n---\n\n{_heading(message)}\n\n{_body(message)}\n".encode()


def _people(session: ChatSession) -> QuerySet[Participant]:
    return session.participants.select_related("user").order_by("joined_at", "id")


def _messages(session: ChatSession) -> Iterator[Message]:
    """All of them in order. A session that is deleted meanwhile just ends."""
    page = first_page(session, PAGE)
    yield from page.messages
    while page.has_newer:
        page = page_after(session, page.messages[-1], PAGE)
        yield from page.messages


def _is_shown(message: Message, superseded: set[UUID]) -> bool:
    """`superseded`: the questions that their authors have asked anew."""
    question_id = message.reply_to_id if message.is_answer else message.pk
    is_withdrawn = not message.is_answer and message.status == Status.CANCELLED
    return message.status not in UNFINISHED and not is_withdrawn and question_id not in superseded


def _newest(messages: Iterable[Message]) -> Iterator[Message]:
    """Of the answers to one question the newest with text or pictures, as in the prompt; else the newest."""
    for _, group in groupby(messages, key=lambda message: message.reply_to_id or message.pk):
        versions = list(group)
        yield from (m for m in versions if not m.is_answer)
        answers = [m for m in versions if m.is_answer]
        if answers:
            yield next((m for m in reversed(answers) if m.content.strip() or m.pictures), answers[-1])


def _heading(message: Message) -> str:
    moment = f"{message.started_at or message.created_at:%Y-%m-%d %H:%M} UTC"
    if message.role == MessageRole.USER:
        return f"## {_one_line(display_name(message.author)) if message.author else 'Someone'} · {moment}"
    return f"## {_one_line(catalogue.label(message.model))} · {message.model} · {moment}"


def _body(message: Message) -> str:
    lines = [_thoughts(message), message.content.strip()]
    kind = "Image" if message.is_answer else "File"
    lines += [
        f"*{kind}: {_one_line(attached.name)}*" for attached in message.attachments.all() if not attached.call_id
    ]
    if message.sources:
        lines += ["Sources:", "\n".join(starmap(_source, enumerate(message.sources, 1)))]
    if message.status == Status.ERROR:
        lines.append(f"*{message.error_detail or 'The answer failed.'}*")
    elif message.status == Status.CANCELLED:
        by = f" by {display_name(message.stopped_by)}" if message.stopped_by else ""
        lines.append(f"*Stopped{by}.*")
    return "\n\n".join(line for line in lines if line)


def _source(number: int, source: dict[str, str]) -> str:
    """As an item of a list; whatever the title holds, it is no markup."""
    title = _MARKUP.sub(r"\\\g<0>", source["title"])
    url = source["url"].replace("<", "%3C").replace(">", "%3E")
    return f"{number}. {title} <{url}>" if title else f"{number}. <{url}>"


def _thoughts(message: Message) -> str:
    """What the model thought, as a quotation: nothing in it can end it."""
    if message.reasoned is None or not message.reasoning.strip():
        return ""
    head = f"**Thinking** · {message.reasoned.seconds:.0f} s\n\n"
    lines = re.split(r"\r\n|\r|\n", head + message.reasoning.strip())
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())
