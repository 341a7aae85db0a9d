"""Who may sign in: the form, the accounts and their tokens."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm

from assistant.admin.base import USERS_NAME, ReadOnly
from assistant.models import ApiToken
from assistant.pages.forms import Slowed


class SignInForm(Slowed, AdminAuthenticationForm):
    """For `admin.site.login_form`."""


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    """To list and revoke. Tokens are made by `manage.py create_token`, which shows them once."""

    list_display = ["prefix", "user", "created_at", "last_used_at"]
    search_fields = [USERS_NAME, "prefix"]
