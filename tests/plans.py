"""What a database does to answer a query: its plan, as it tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

EXPLAIN = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN "}


@contextmanager
def plans() -> Iterator[list[str]]:
    """The plan of each SELECT that is run inside, in order, as text.

    PostgreSQL would rather read a toy's whole table; here it takes an index wherever one serves, as with a large one.
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
            cursor.execute("SET enable_seqscan = off")
        try:
            with connection.execute_wrapper(explained):
                yield found
        finally:
            if is_postgres:
                cursor.execute("RESET enable_seqscan")
