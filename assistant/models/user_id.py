"""The keys of users: of whatever type the project's AUTH_USER_MODEL has them.

Inside they are what the database's rows have: a number, a UUID, a text. On the wire, in JSON columns and in events between
processes a number stays a number, and everything else is a text.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Field, IntegerField, UUIDField

from assistant.text.storable import clean

UserId: TypeAlias = Any  # as rows have it
ShownId: TypeAlias = int | str  # as JSON has it


def shown_id(user_id: UserId) -> Any:
    """The key as JSON has it (a `ShownId`); None is nobody."""
    return user_id if user_id is None or isinstance(user_id, int) else str(user_id)


def read_id(given: object) -> UserId:
    """The key that `shown_id` made this of. Raises ValueError for what is none."""
    if isinstance(given, str) and clean(given) != given:
        raise ValueError("is no user's id")
    field = key_field()
    try:
        found = field.to_python(given)
        field.run_validators(found)  # how large a number may be, how long a text
    except ValidationError:
        raise ValueError("is no user's id") from None
    return found


def key_type() -> type[int] | type[UUID] | type[str]:
    """What JSON has for a key: a number, a UUID in words, or any other text."""
    field = key_field()
    if isinstance(field, IntegerField):
        return int
    return UUID if isinstance(field, UUIDField) else str


def key_field() -> Field[Any, Any]:
    """The column that holds it: of a user model that extends another one, the other's."""
    field: Any = get_user_model()._meta.pk
    while field.remote_field is not None:
        field = field.target_field
    return cast("Field[Any, Any]", field)
