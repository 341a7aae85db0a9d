"""What was used, with its plots, and what may be."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import path

from assistant.admin.base import USERS_NAME, NamesUser, ReadOnly
from assistant.admin.large import BoundedPaginator, ErrorCode, as_id
from assistant.models import Budget, UsageRecord
from assistant.pages import usage_pages


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly):
    """The ledger, to look at; and its plots."""

    list_display = [
        "created_at",
        "user",
        "model",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "reasoning_tokens",
        "cost",
        "error_code",
        "total_ms",
    ]
    list_filter = ["day", ErrorCode, "is_estimate"]
    ordering = ["-id"]  # that of time, and indexed
    paginator = BoundedPaginator
    search_fields = ["id"]  # by `get_search_results`
    search_help_text = "A user's name or a model's id; or the id of a session or message."
    list_select_related = ["user"]
    show_full_result_count = False
    change_list_template = "admin/assistant/usagerecord/change_list.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """As a whole, each by its index: parts of them would have all rows read."""
        if wanted := as_id(search_term):
            return queryset.filter(Q(session=wanted) | Q(message=wanted)), False
        if search_term:
            queryset = queryset.filter(Q(**{USERS_NAME: search_term}) | Q(model=search_term))
        return queryset, False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # only ever added to

    def get_urls(self) -> list[Any]:
        plots = self.admin_site.admin_view(usage_pages.of_everyone)
        return [path("plots/", plots, name="assistant_usagerecord_plots"), *super().get_urls()]


@admin.register(Budget)
class BudgetAdmin(NamesUser, admin.ModelAdmin):
    list_display = ["user", "tokens_per_day", "cost_per_day", "is_unlimited"]
    search_fields = [USERS_NAME]
