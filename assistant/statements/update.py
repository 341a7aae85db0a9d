"""UPDATE of what a queryset finds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.sql import UpdateQuery

from assistant.statements.statement import Statement, Value

Built = tuple[QuerySet[Any], Mapping[str, Any]]


class Update(Statement[tuple[str, tuple[Any, ...]]]):
    """`build(p)` returns a queryset and what its rows are to be: values to come, or expressions."""

    def __init__(self, model: type[Model], build: Callable[[Value], Built]) -> None:
        super().__init__(model, build)

    def run(self, **values: Any) -> int:
        """How many rows it has changed."""
        with self._execute(self.using, values) as cursor:
            return int(cursor.rowcount)

    def compile(self, built: Built, using: str) -> tuple[str, tuple[Any, ...]]:
        found, changes = built
        query: Any = found.query.chain(UpdateQuery)
        query.add_update_values(changes)
        sql, params = query.get_compiler(using).as_sql()
        return sql, tuple(params)

    def sql(self, compiled: tuple[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        return compiled


@functools.cache
def _of_row(model: type[Model], names: tuple[str, ...]) -> Update:
    def build(p: Value) -> Built:
        rows: Any = model._default_manager
        return rows.filter(pk=p("row", model._meta.pk.name)), {name: p(name) for name in names}

    return Update(model, build)


def store(row: Model, *names: str) -> None:
    """As `row.save(update_fields=names)` without its signals, for a row that is locked and therefore there."""
    changed = _of_row(type(row), names).run(row=row.pk, **{name: getattr(row, name) for name in names})
    assert changed == 1, "the row is locked"
