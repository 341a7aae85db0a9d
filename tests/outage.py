"""A database that is away, for the thread of the test (and so for the requests of Django's test client)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from django.db import OperationalError, connection


@contextmanager
def database_away(kind: type[Exception] = OperationalError, when: str = "") -> Iterator[None]:
    """Every statement (with `when`, each that contains it) ends as it does when the server has closed the connection."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if when in sql:
            gone(kind)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def gone(kind: type[Exception]) -> NoReturn:
    raise kind("server closed the connection unexpectedly")
