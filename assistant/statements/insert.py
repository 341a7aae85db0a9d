"""INSERT of one row."""

from __future__ import annotations

import functools
from typing import Any

from django.db.models import AutoField, Model
from django.db.models.constants import OnConflict
from django.db.models.signals import post_save, pre_save
from django.db.models.sql import InsertQuery

from assistant.statements.statement import Statement


class Insert(Statement[tuple[str, tuple[Any, ...]]]):
    """All columns of one row of `model`. With `is_lenient` a row that is there already stays, and nothing is said."""

    def __init__(self, model: type[Model], *, is_lenient: bool = False) -> None:
        self.made = next((field for field in model._meta.concrete_fields if isinstance(field, AutoField)), None)
        self.fields = [field for field in model._meta.concrete_fields if field is not self.made]
        self._is_lenient = is_lenient
        super().__init__(model, lambda p: {field.name: p(field.name) for field in self.fields})

    def run(self, **values: Any) -> Any:
        """The key, if the database makes it; else None."""
        with self._execute(self.using, values) as cursor:
            return cursor.fetchone()[0] if self.made else None

    def compile(self, built: dict[str, Any], using: str) -> tuple[str, tuple[Any, ...]]:
        query = InsertQuery(self.model, on_conflict=OnConflict.IGNORE if self._is_lenient else None)
        row: Any = type("Row", (), {field.attname: built[field.name] for field in self.fields})
        query.insert_values(self.fields, [row], raw=True)
        compiler: Any = query.get_compiler(using)
        compiler.returning_fields = [self.made] if self.made else []
        ((sql, params),) = compiler.as_sql()
        return sql, tuple(params)

    def sql(self, compiled: tuple[str, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        return compiled


@functools.cache
def _of_row(model: type[Model], is_lenient: bool) -> Insert:
    return Insert(model, is_lenient=is_lenient)


def insert(row: Model, *, is_lenient: bool = False) -> None:
    """As `row.save(force_insert=True)`; one that `is_lenient` as `bulk_create` that ignores conflicts.

    No column of the row may be an expression. Whoever listens to the model's `pre_save` or `post_save` hears of it.
    """
    model = type(row)
    if not is_lenient and (pre_save.has_listeners(model) or post_save.has_listeners(model)):
        row.save(force_insert=True)
        return
    statement = _of_row(model, is_lenient)
    key = statement.run(**{field.name: field.pre_save(row, True) for field in statement.fields})
    if statement.made:
        row.pk = key
    row._state.adding, row._state.db = False, statement.using
