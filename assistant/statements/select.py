"""SELECT: rows as model instances, with what `select_related`, `only`, `defer` and annotations say; or as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

from assistant.statements.statement import Statement, Value

M = TypeVar("M", bound=Model)

_populators: Any = get_related_populators


Converters = list[tuple[int, list[Any], Any]]  # (place, functions, expression)


def _converters(compiler: Any) -> Converters:
    found = compiler.get_converters([column[0] for column in compiler.select])
    return [(place, functions, expression) for place, (functions, expression) in found.items()]


def _converted(row: Sequence[Any], converters: Converters, connection: Any) -> list[Any]:
    values = list(row)
    for place, functions, expression in converters:
        for convert in functions:
            values[place] = convert(values[place], expression, connection)
    return values


@dataclass(slots=True)
class _Compiled:
    sql: str
    params: tuple[Any, ...]
    using: str
    model: type[Model]
    columns: list[str]  # of the model, by their attributes' names
    start: int  # where they stand in a row
    converters: Converters
    related: list[Any]
    annotations: dict[str, int]  # by attribute: its place
    locks: bool  # the rows, until the transaction ends


class Select(Statement[_Compiled], Generic[M]):
    """`build(p)` returns a queryset. It prefetches nothing: that would be other statements."""

    def __init__(self, model: type[M], build: Callable[[Value], QuerySet[M]]) -> None:
        super().__init__(model, build)

    def all(self, **values: Any) -> list[M]:
        using = self.using
        compiled, connection = self.compiled(using), connections[using]
        assert connection.in_atomic_block or not compiled.locks, "a lock needs a transaction to last in"
        with self._execute(using, values) as cursor:
            rows = cursor.fetchall()
        return [self._made(compiled, _converted(row, compiled.converters, connection)) for row in rows]

    def one(self, **values: Any) -> M | None:
        """The one row that there can be, or None."""
        found = self.all(**values)
        return found[0] if found else None

    def compile(self, built: QuerySet[M], using: str) -> _Compiled:
        assert not vars(built)["_prefetch_related_lookups"], "a prefetch is a statement of its own"
        compiler = built.query.get_compiler(using)
        sql, params = compiler.as_sql()
        info = compiler.klass_info
        assert info is not None, "rows of values are not read here"
        places = info["select_fields"]
        columns = [column[0].target.attname for column in compiler.select[places[0] : places[-1] + 1]]
        return _Compiled(
            sql=sql,
            params=tuple(params),
            using=using,
            model=info["model"],
            columns=columns,
            start=places[0],
            converters=_converters(compiler),
            related=_populators(info, compiler.select, using),
            annotations=compiler.annotation_col_map or {},
            locks=built.query.select_for_update,
        )

    def sql(self, compiled: _Compiled) -> tuple[str, tuple[Any, ...]]:
        return compiled.sql, compiled.params

    def _made(self, compiled: _Compiled, row: list[Any]) -> Any:
        start = compiled.start
        made = compiled.model.from_db(compiled.using, compiled.columns, row[start : start + len(compiled.columns)])
        for populator in compiled.related:
            populator.populate(row, made)
        for name, place in compiled.annotations.items():
            setattr(made, name, row[place])
        return made


@dataclass(slots=True)
class _Plain:
    sql: str
    params: tuple[Any, ...]
    names: list[str]
    converters: Converters


class Values(Statement[_Plain]):
    """`build(p)` returns a queryset with `values` or annotations of groups; rows are read as dicts."""

    def all(self, **values: Any) -> list[dict[str, Any]]:
        using = self.using
        compiled = self.compiled(using)
        with self._execute(using, values) as cursor:
            rows = cursor.fetchall()
        connection = connections[using]
        return [
            dict(zip(compiled.names, _converted(row, compiled.converters, connection), strict=True)) for row in rows
        ]

    def one(self, **values: Any) -> dict[str, Any] | None:
        """The one row that there can be, or None."""
        found = self.all(**values)
        return found[0] if found else None

    def compile(self, built: QuerySet[Any, Any], using: str) -> _Plain:
        query: Any = built.query
        compiler = query.get_compiler(using)
        sql, params = compiler.as_sql()
        assert query.selected, "a queryset with `values`"
        return _Plain(sql, tuple(params), list(query.selected), _converters(compiler))

    def sql(self, compiled: _Plain) -> tuple[str, tuple[Any, ...]]:
        return compiled.sql, compiled.params
