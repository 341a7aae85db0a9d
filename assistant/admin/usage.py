"""What was used, with its plots, and what may be."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path

from assistant.admin.base import USERS_NAME, NamesUser, ReadOnly
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
    list_filter = ["day", "model", "error_code", "is_estimate"]
    search_fields = [USERS_NAME, "model", "session__id", "message__id"]
    list_select_related = ["user"]
    show_full_result_count = False
    change_list_template = "admin/assistant/usagerecord/change_list.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # only ever added to

    def get_urls(self) -> list[Any]:
        plots = self.admin_site.admin_view(usage_pages.of_everyone)
        return [path("plots/", plots, name="assistant_usagerecord_plots"), *super().get_urls()]


@admin.register(Budget)
class BudgetAdmin(NamesUser, admin.ModelAdmin):
    list_display = ["user", "tokens_per_day", "cost_per_day", "is_unlimited"]
    search_fields = [USERS_NAME]
