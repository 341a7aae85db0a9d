"""The row of a query that can find one at most."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import QuerySet

T = TypeVar("T")


def one(found: QuerySet[Any, T]) -> T | None:
    """The one row of `found`, or None. For queries by something unique, on the way of a question.

    `first()` would have it sorted, and to write an ORDER BY Django looks at each column that is selected: of a message
    that takes as long as the rest of the query.
    """
    return next(iter(found), None)
