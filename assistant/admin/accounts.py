"""Who may sign in: the form, the accounts and their tokens."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from assistant.admin.base import USERS_NAME, ReadOnly, User
from assistant.lifecycle import people
from assistant.models import ApiToken
from assistant.pages.forms import Slowed


class SignInForm(Slowed, AdminAuthenticationForm):
    """For `admin.site.login_form`."""


class PassesOnSessions(admin.ModelAdmin):
    """For the admin of users: before one is deleted their sessions go to somebody else, so that none has no owner."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        people.forget(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for user in queryset:
            self.delete_model(request, user)


class AccountAdmin(PassesOnSessions, UserAdmin):
    """In the place of Django's own. A project that has an admin of its own for its users mixes the first into that."""


if type(admin.site._registry.get(User)) is UserAdmin:
    admin.site.unregister(User)
    admin.site.register(User, AccountAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    """To list and revoke. Tokens are made by `manage.py create_token`, which shows them once."""

    list_display = ["prefix", "user", "created_at", "last_used_at"]
    search_fields = [USERS_NAME, "prefix"]
