"""INSERT of rows."""

from __future__ import annotations

import functools
from typing import Any

from django.db.models import AutoField, Model
from django.db.models.constants import OnConflict
from django.db.models.signals import post_save, pre_save
from django.db.models.sql import InsertQuery

from assistant.statements.statement import Statement


class Insert(Statement[tuple[str, tuple[Any, ...]]]):
    """All columns of `count` rows of `model`. With `is_lenient` a row that is there already stays, and nothing is said."""

    def __init__(self, model: type[Model], count: int = 1, *, is_lenient: bool = False) -> None:
        self.made = next((field for field in model._meta.concrete_fields if isinstance(field, AutoField)), None)
        self.fields = [field for field in model._meta.concrete_fields if field is not self.made]
        self._is_lenient = is_lenient
        names = [field.name for field in self.fields]
        super().__init__(
            model, lambda p: [{name: p(f"{name}_{row}", name) for name in names} for row in range(count)]
        )

    def run(self, **values: Any) -> list[Any]:
        """The keys, if the database makes them."""
        with self._execute(self.using, values) as cursor:
            return [key for (key,) in cursor.fetchall()] if self.made else []

    def compile(self, built: list[dict[str, Any]], using: str) -> tuple[str, tuple[Any, ...]]:
        query = InsertQuery(self.model, on_conflict=OnConflict.IGNORE if self._is_lenient else None)
        rows: list[Any] = [
            type("Row", (), {field.attname: row[field.name] for field in self.fields}) for row in built
        ]
        query.insert_values(self.fields, rows, raw=True)
        compiler: Any = query.get_compiler(using)
        compiler.returning_fields = [self.made] if self.made else []
        ((sql, params),) = compiler.as_sql()
        return sql, tuple(params)

    def sql(self, compiled: tuple[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        return compiled


@functools.cache
def _of_rows(model: type[Model], count: int, is_lenient: bool) -> Insert:
    return Insert(model, count, is_lenient=is_lenient)


def insert(*rows: Model, is_lenient: bool = False) -> None:
    """As `save(force_insert=True)` of each; rows that are `is_lenient` as `bulk_create` that ignores conflicts.

    No column may be an expression, and several rows bring their keys. Whoever listens to the model's `pre_save` or
    `post_save` hears of it.
    """
    model = type(rows[0])
    if not is_lenient and (pre_save.has_listeners(model) or post_save.has_listeners(model)):
        for row in rows:
            row.save(force_insert=True)
        return
    statement = _of_rows(model, len(rows), is_lenient)
    assert len(rows) == 1 or not statement.made, "of several made keys nobody knows which is whose"
    fields, numbered = statement.fields, enumerate(rows)
    keys = statement.run(
        **{f"{field.name}_{n}": field.pre_save(row, True) for n, row in numbered for field in fields}
    )
    for key in keys:
        rows[0].pk = key
    for row in rows:
        row._state.adding, row._state.db = False, statement.using
