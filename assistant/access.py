"""Who is asking: a browser's session cookie, or `Authorization: Bearer TOKEN`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from assistant.models import ApiToken


def bearer(header: str) -> str | None:
    """The token in an Authorization header, or None if it is of another kind."""
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def socket_user(scope: dict[str, Any]) -> Any | None:
    """The user behind a WebSocket, or None.

    A browser sends its cookie to any page's socket (there is no CSRF token here), so a cookie counts only with an
    Origin that is this site or a trusted one. A token can't be sent by a page of somebody else's.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if token := bearer(headers.get(b"authorization", "")):
        return ApiToken.user_of(token)
    if not is_own_origin(headers.get(b"origin", ""), headers.get(b"host", "")):
        return None
    user = scope.get("user")
    return user if user is not None and user.is_authenticated and user.is_active else None


def is_own_origin(origin: str, host: str) -> bool:
    if not origin or origin == "null":
        return False
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domain, _ = split_domain_port(host)
    hosts: Iterable[str] = settings.ALLOWED_HOSTS or (["localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    return urlsplit(origin).netloc.lower() == host.lower() and bool(domain) and validate_host(domain, hosts)
