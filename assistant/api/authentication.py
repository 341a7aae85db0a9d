"""Who is asking over HTTP. A view finds the user in `request.auth`."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from assistant.models import ApiToken


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> Any | None:
        return ApiToken.user_of(token)


class SessionCookie(APIKeyCookie):
    """The browser's session. Only who is signed in is asked for a CSRF token: a stranger gets 401, not a riddle."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Any | None:
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise HttpError(403, "The CSRF token is missing or wrong. Reload the page.")
        return request.user

    def authenticate(self, request: HttpRequest, key: str | None) -> Any | None:  # pragma: no cover
        raise NotImplementedError


def user_of(request: HttpRequest) -> Any:
    return cast(Any, request).auth
