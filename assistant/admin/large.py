"""Lists of tables with millions of rows: nothing counts or reads all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from assistant.failures import SENTENCES

MOST = 10_000  # rows that one can page through; who looks for an older one filters, or searches


class BoundedPaginator(Paginator):
    """Counts up to `MOST`: to count all takes longer than the page itself, and the millionth is found by no paging."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST].count())


class ErrorCode(admin.SimpleListFilter):
    """By the categories that there are. Django's own filter reads the whole table for those that occur."""

    title, parameter_name = "error code", "error_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(code, code) for code in SENTENCES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(error_code=self.value()) if self.value() else queryset


def as_id(text: str) -> UUID | None:
    """The id that somebody has entered to search for, if it is one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
