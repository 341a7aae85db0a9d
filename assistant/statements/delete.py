"""DELETE of what a queryset finds: of tables to which nothing refers, for nothing is collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.sql import DeleteQuery

from assistant.statements.statement import Statement, Value


class Delete(Statement[tuple[str, tuple[Any, ...]]]):
    """`build(p)` returns a queryset."""

    def __init__(self, model: type[Model], build: Callable[[Value], QuerySet[Any]]) -> None:
        super().__init__(model, build)

    def run(self, **values: Any) -> int:
        """How many rows are gone."""
        with self._execute(self.using, values) as cursor:
            return int(cursor.rowcount)

    def compile(self, built: QuerySet[Any], using: str) -> tuple[str, tuple[Any, ...]]:
        query: Any = built.query.chain(DeleteQuery)
        sql, params = query.get_compiler(using).as_sql()
        return sql, tuple(params)

    def sql(self, compiled: tuple[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        return compiled
