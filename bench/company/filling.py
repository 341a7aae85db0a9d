"""Fills an empty database with what a company has written: rows made here, and put in past the ORM.

The words are drawn by a fixed seed. A few of them are known, to be searched for: see `Words`.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Model

from assistant.models import ChatSession, Message, Participant, UsageRecord
from assistant.models.message import MessageRole, Status
from assistant.models.participant import Role
from assistant.search import sqlite

DAYS = 90
PEOPLE = 200
LARGEST = 20_000  # messages of one session
EVERY = 4  # Ada takes part in each fourth session
VOCABULARY = 20_000
LENGTH = 40  # words
AT_ONCE = 20_000


class Words:
    COMMON = "lease"  # in a third of all messages
    RARE = "quokka"  # in forty, all of them in Ada's sessions
    OTHERS = "foreign"  # in a fifth of all that Ada can't see, and in nothing else
    NOWHERE = "zyzzyva"
    PREFIX = "le"


@dataclass(frozen=True, slots=True)
class Size:
    messages: int = 1_000_000
    sessions: int = 20_000


Row = list[Any]


def fill(size: Size) -> None:
    users = _users()
    company = _Company(size, [user.pk for user in users])
    with _without_search():
        _put(ChatSession, company.sessions())
        _put(Participant, company.participants())
        _put(Message, company.messages())
        _put(UsageRecord, company.usage())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _users() -> list[Any]:
    User = get_user_model()
    ada = User(username="ada", is_staff=True, is_superuser=True)
    User.objects.bulk_create([ada, *(User(username=f"person{number}") for number in range(PEOPLE))])
    return list(User.objects.order_by("pk"))


class _Company:
    def __init__(self, size: Size, people: list[Any]) -> None:
        self.dice = random.Random("company")
        self.ada, self.people = people[0], people[1:]
        self.began = datetime.now(UTC) - timedelta(days=DAYS)
        self.ids = [self._id(self.began + timedelta(days=DAYS) * n / size.sessions) for n in range(size.sessions)]
        rest = (size.messages - min(LARGEST, size.messages // 4)) // max(1, size.sessions - 1)
        self.lengths = [rest] * size.sessions
        self.lengths[0] = size.messages - rest * (size.sessions - 1)
        self.words = [self._word() for _ in range(VOCABULARY)]
        self.weights = list(accumulate(1 / rank for rank in range(2, VOCABULARY + 2)))
        self.answers: list[tuple[uuid.UUID, int, datetime]] = []

    def _word(self) -> str:
        return "".join(self.dice.choice("bdfghjkmnprstvz") + self.dice.choice("aeiou") for _ in range(3))

    def _id(self, moment: datetime) -> uuid.UUID:
        """A UUID of version 7, as `assistant.models.ids` makes them, of that moment."""
        low = self.dice.getrandbits(74)
        milliseconds = int(moment.timestamp() * 1000)
        return uuid.UUID(int=milliseconds << 80 | 7 << 76 | (low >> 62) << 64 | 2 << 62 | low & (1 << 62) - 1)

    def _is_adas(self, number: int) -> bool:
        return number % EVERY == 0

    def _moment(self, number: int, message: int) -> datetime:
        """The first session goes on for the whole time, others for an hour or so."""
        if number == 0:
            return self.began + timedelta(days=DAYS) * message / self.lengths[0]
        return self.began + timedelta(days=DAYS) * number / len(self.ids) + timedelta(minutes=message)

    def sessions(self) -> Iterator[Row]:
        session = ChatSession(title="", model="", services=[], created_at=self.began, updated_at=self.began)
        made = _Rows(session, "id", "title", "said", "last_position", "created_at", "updated_at")
        for number, pk in enumerate(self.ids):
            length = self.lengths[number]
            first, last = self._moment(number, 0), self._moment(number, length)
            yield made(pk, " ".join(self._some(4)), length, length, first, last)

    def participants(self) -> Iterator[Row]:
        made = _Rows(Participant(joined_at=self.began), "session", "user", "role")
        for number, pk in enumerate(self.ids):
            owner = self.ada if self._is_adas(number) else self.people[number % PEOPLE]
            yield made(pk, owner, Role.OWNER)
            yield made(pk, self.people[(number + 1) % PEOPLE], Role.EDITOR)

    def messages(self) -> Iterator[Row]:
        fields = ("id", "session", "position", "content", "created_at", "finished_at")
        plain = Message(role=MessageRole.USER, status=Status.SUCCESS, created_at=self.began)
        question = _Rows(plain, *fields, "author", "client_id")
        plain = Message(role=MessageRole.ASSISTANT, status=Status.SUCCESS, created_at=self.began, model="test/model")
        answer = _Rows(plain, *fields, "reply_to", "charged_to", "html")
        for number, session in enumerate(self.ids):
            who = self.ada if self._is_adas(number) else self.people[number % PEOPLE]
            asked = None
            for message in range(self.lengths[number]):
                moment = self._moment(number, message)
                pk, text = self._id(moment), self._text(number, message)
                if asked is None:
                    asked = pk
                    yield question(pk, session, message + 2, text, moment, moment, who, pk.hex)
                    continue
                self.answers.append((pk, number, moment))
                html = {"version": 1, "blocks": [f"<p>{text}</p>"]}
                yield answer(pk, session, message + 2, text, moment, moment, asked, who, html)
                asked = None

    def usage(self) -> Iterator[Row]:
        plain = UsageRecord(
            model="test/model", prompt_tokens=900, completion_tokens=60, cost=0, first_token_ms=400, total_ms=2000,
            created_at=self.began, day=self.began.date(),
        )  # fmt: skip
        made = _Rows(plain, "id", "user", "session", "message", "model", "error_code", "day", "created_at")
        for pk, number, moment in self.answers:
            who = self.ada if self._is_adas(number) else self.people[number % PEOPLE]
            model, error = f"test/model-{number % 5}", "" if number % 50 else "server"
            yield made(self._id(moment), who, self.ids[number], pk, model, error, moment.date(), moment)

    def _some(self, count: int) -> list[str]:
        return self.dice.choices(self.words, cum_weights=self.weights, k=count)

    def _text(self, number: int, message: int) -> str:
        words = self._some(LENGTH)
        if message % 3 == 0:
            words[5] = Words.COMMON
        if not self._is_adas(number) and message % 5 == 0:
            words[7] = Words.OTHERS
        if number and number % max(1, len(self.ids) // 40) == 0 and self._is_adas(number) and message == 1:
            words[9] = Words.RARE
        return " ".join(words)


class _Rows:
    """Rows of the table of `plain` that differ from it in `names`, as the database takes them."""

    def __init__(self, plain: Model, *names: str) -> None:
        fields = columns(type(plain))
        self._plain = [field.get_db_prep_save(getattr(plain, field.attname), connection) for field in fields]
        self._changed = [(place, field) for name in names for place, field in enumerate(fields) if field.name == name]

    def __call__(self, *values: Any) -> Row:
        row = self._plain.copy()
        for (place, field), value in zip(self._changed, values, strict=True):
            row[place] = field.get_db_prep_save(value, connection)
        return row


def columns(model: type[Model]) -> list[Any]:
    return [f for f in model._meta.concrete_fields if f.get_internal_type() not in ("AutoField", "BigAutoField")]


def _put(model: type[Model], rows: Iterator[Row]) -> None:
    names = ", ".join(f'"{field.column}"' for field in columns(model))
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")  # a superuser's: no key is checked
            with cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        places = ", ".join(["%s"] * len(columns(model)))
        while some := list(islice(rows, AT_ONCE)):
            cursor.executemany(f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({places})", some)


@contextmanager
def _without_search() -> Iterator[None]:
    """Its index is made once, at the end."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP INDEX message_search")
            yield
            cursor.execute("CREATE INDEX message_search ON assistant_message USING gin (search)")
        else:
            cursor.execute("PRAGMA foreign_keys = OFF")
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("DROP TRIGGER assistant_search_insert")
            yield
            sqlite.install(connection)
    connection.close()  # the next one is as the settings want it
