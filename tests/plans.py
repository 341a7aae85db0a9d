"""What a database does to answer a query: its plan, as it tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from assistant.models import ChatSession, Message, Participant
from assistant.models.message import MessageRole, Status
from assistant.models.participant import Role

EXPLAIN = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}


@contextmanager
def plans() -> Iterator[list[str]]:
    """The plan of each SELECT that is run inside, in order, as text.

    PostgreSQL would rather read a toy's whole table; here it takes an index wherever one serves, as with a large one. It
    counts the rows first: what it had counted of an earlier test's would choose another index.
    """
    found: list[str] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            execute(EXPLAIN[connection.vendor] + sql, params, many, context)
            found.append("\n".join(str(row[-1]) for row in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if is_postgres:
            cursor.execute("ANALYZE")
            cursor.execute("SET enable_seqscan = off")
        try:
            with connection.execute_wrapper(explained):
                yield found
        finally:
            if is_postgres:
                cursor.execute("RESET enable_seqscan")


def rooms(user: Any, count: int, messages: int, text: str = "hay") -> list[ChatSession]:
    """So many sessions of a user with so many messages in each, and statistics that know of them."""
    made = ChatSession.objects.bulk_create(ChatSession(title=f"Room {number}") for number in range(count))
    Participant.objects.bulk_create(Participant(session=room, user=user, role=Role.OWNER) for room in made)
    Message.objects.bulk_create(
        Message(session=room, role=MessageRole.USER, author=user, content=text, status=Status.SUCCESS,
                position=2 * place) for place in range(1, messages + 1) for room in made
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return made
