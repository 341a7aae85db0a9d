"""What the operator's pages share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest

from assistant.delivery import clock

User = get_user_model()
USERS_NAME = f"user__{User.USERNAME_FIELD}"


class ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class GoesWithSession(ReadOnly):
    """Deleted with its session or account, never on pages of its own: it would vanish without anyone being told."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        match = request.resolver_match
        own_pages = match is not None and (match.url_name or "").startswith(f"assistant_{self.opts.model_name}_")
        return not own_pages and super().has_delete_permission(request, obj)


class NamesUser(admin.options.BaseModelAdmin):
    """Has a `user`, found by name where the project has its users in the admin, else entered by id."""

    raw_id_fields = ["user"]

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        users = self.admin_site._registry.get(User)
        return ["user"] if users and users.search_fields else []


def ago(moment: datetime | None) -> str:
    return "" if moment is None else f"{max(0.0, (clock.now() - moment).total_seconds()):,.0f} s ago"
