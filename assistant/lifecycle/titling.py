"""The title of a session that nobody has named: first the words of its first question, then what the model makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F

from assistant import conf
from assistant.catalogue import DEMO
from assistant.lifecycle.session_changes import session_changed
from assistant.models.message import Message, Status
from assistant.models.session import UNTITLED, ChatSession, TitledBy
from assistant.models.user_id import UserId
from assistant.statements import Select

LONGEST_TITLE = 60
MOST_TRIES = 3
SHOWN_LETTERS = 2_000  # of question and answer, for a title

_UNNAMED = (TitledBy.NOBODY, TitledBy.WORDS)


@dataclass(frozen=True, slots=True)
class Talk:
    """What a title is to be made for."""

    session_id: UUID
    model: str
    question: str
    answer: str
    user_id: UserId  # who asked


def shortened(text: str) -> str:
    """The first line with anything in it, cut at a word."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = " ".join(line.lstrip("#*->").split())
    if len(line) <= LONGEST_TITLE:
        return line
    cut = line[: LONGEST_TITLE - 1]
    whole = cut.rsplit(" ", 1)[0]
    return f"{whole if len(whole) > LONGEST_TITLE // 2 else cut}…"


def name_by_words(session: ChatSession, content: str) -> None:
    """Calls an unnamed session by its first question's words. The caller has locked it, and stores and tells the change."""
    if session.titled_by != TitledBy.NOBODY or session.title != UNTITLED:
        return
    if title := shortened(content):
        session.title, session.titled_by = title, TitledBy.WORDS


_UNTITLED = Select(
    Message,
    lambda p: (
        Message.objects.select_related("reply_to")
        .filter(pk=p("id"), status=Status.SUCCESS, session__titled_by__in=_UNNAMED)
        .defer("html")
    ),
)


def begin(message_id: UUID) -> Talk | None:
    """What a title for the session of this answer is to be made from; None if none is wanted.

    Counts a try: a session's model is asked a few times at most, however often it fails.
    """
    answer = _UNTITLED.one(id=message_id) if conf.settings.titles else None
    if answer is None or answer.reply_to is None or answer.model == DEMO:
        return None
    wanted = ChatSession.objects.filter(pk=answer.session_id, titled_by__in=_UNNAMED, title_tries__lt=MOST_TRIES)
    if not wanted.update(title_tries=F("title_tries") + 1):
        return None
    question, text = answer.reply_to.content[:SHOWN_LETTERS], answer.content[:SHOWN_LETTERS]
    return Talk(answer.session_id, answer.model, question, text, answer.charged_to_id)


def give(session_id: UUID, title: str) -> bool:
    """Gives the session the model's title. False: a person has named it meanwhile, or it is gone."""
    with transaction.atomic():
        session = ChatSession.objects.locked(session_id)
        if session is None or session.titled_by not in _UNNAMED:
            return False
        session.title, session.titled_by = title, TitledBy.MODEL
        session.save(update_fields=["title", "titled_by"])
        session_changed(session)
    return True
