"""What statements have in common: parameters that stand in compiled SQL, and where the compiled ones are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django.db import connections, router
from django.db.backends.utils import CursorWrapper
from django.db.models import Expression, Field, Model

Value = Callable[..., Any]  # `p(name, field)`: how a declaration names a value that is to come

C = TypeVar("C")

declared: list[Statement[Any]] = []


class Param(Expression):
    """A value to come. Compiled it is one `%s`, and itself stands among the parameters."""

    def __init__(self, name: str, field: Field[Any, Any]) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", (self,)

    def bound(self, values: Mapping[str, Any], connection: Any) -> Any:
        value = values[self.name]
        return self.output_field.get_db_prep_save(value.pk if isinstance(value, Model) else value, connection)


class Statement(Generic[C]):
    """`build(p)` makes what is compiled. It is called once for each database, and by tests with the values themselves.

    `p(name, field)` stands for the value that is given as `name`, prepared as `model`'s field of that name, or as `field`:
    another of its fields' names, or another model's field itself.
    """

    def __init__(self, model: type[Model], build: Callable[[Value], Any]) -> None:
        self.model, self._build = model, build
        self._compiled: dict[str, C] = {}  # by the database's alias
        declared.append(self)

    def compile(self, built: Any, using: str) -> C:
        raise NotImplementedError

    def sql(self, compiled: C) -> tuple[str, tuple[Any, ...]]:
        raise NotImplementedError

    def compiled(self, using: str) -> C:
        found = self._compiled.get(using)
        if found is None:
            found = self._compiled[using] = self.compile(self._build(self._param), using)
        return found

    def _param(self, name: str, field: Any = "") -> Param:
        found: Any = self.model._meta.get_field(field or name) if isinstance(field, str) else field
        return Param(name, found)

    @property
    def using(self) -> str:
        """The alias of the database: reads of the hot path see what has just been written."""
        return router.db_for_write(self.model)

    def bound(self, using: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The SQL and its parameters as they are sent."""
        sql, params = self.sql(self.compiled(using))
        connection = connections[using]
        return sql, [p.bound(values, connection) if isinstance(p, Param) else p for p in params]

    def plainly(self, using: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The same as the ORM alone says it, for the tests that compare the two."""
        sql, params = self.sql(self.compile(self._build(lambda name, field="": values[name]), using))
        return sql, list(params)

    def _execute(self, using: str, values: Mapping[str, Any]) -> CursorWrapper:
        sql, params = self.bound(using, values)
        cursor = connections[using].cursor()
        cursor.execute(sql, params)
        return cursor
