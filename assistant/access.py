"""Who is asking: a browser's session cookie, or `Authorization: Bearer TOKEN`. And whether that still holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.http.request import HttpRequest, split_domain_port, validate_host
from django.utils import timezone
from django.utils.http import is_same_domain

from assistant import conf
from assistant.models import ApiToken, Participant, ShareLink
from assistant.models.link import digest
from assistant.models.user_id import UserId


@dataclass(frozen=True, slots=True)
class Credential:
    """What a socket came in with: the hash of an API token, or the key of a browser's sign-in."""

    kind: str  # "token" or "cookie"
    key: str


def address_of(request: HttpRequest | None) -> str:
    """The address that a request comes from. Behind a proxy it is the one that the proxy has put last into the header."""
    if request is None:
        return ""
    forwarded = request.headers.get("X-Forwarded-For", "") if conf.settings.behind_proxy else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))


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


def socket_credential(scope: dict[str, Any]) -> Credential | None:
    """By what `socket_user` knew the user."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if token := bearer(headers.get(b"authorization", "")):
        return Credential("token", digest(token))
    key = getattr(scope.get("session"), "session_key", None)
    return Credential("cookie", key) if key and _keeps_sign_ins_in_the_database() else None


def still_valid(credentials: set[Credential]) -> set[Credential]:
    """Those whose token was not revoked, and whose sign-in has not ended."""
    keys = {kind: {c.key for c in credentials if c.kind == kind} for kind in ("token", "cookie")}
    tokens = ApiToken.objects.filter(token_digest__in=keys["token"]).values_list("token_digest", flat=True)
    found = {Credential("token", key) for key in (tokens if keys["token"] else ())}
    return found | {Credential("cookie", key) for key in (_sign_ins(keys["cookie"]) if keys["cookie"] else ())}


def _sign_ins(keys: set[str]) -> set[str]:
    """Those that have not ended, also not by another password, after which Django knows them for no request either."""
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    kept = {row.pk: row.get_decoded() for row in rows}
    users = get_user_model()._default_manager.filter(
        pk__in={data[SESSION_KEY] for data in kept.values() if SESSION_KEY in data}
    )
    now = {get_user_model()._meta.pk.value_to_string(user): user.get_session_auth_hash() for user in users}
    # Of a deleted account there is nothing to compare: its roles and its list are gone.
    return {
        pk for pk, data in kept.items() if now.get(data.get(SESSION_KEY, "")) in (None, data.get(HASH_SESSION_KEY))
    }


def roles(session_ids: set[UUID]) -> dict[tuple[UUID, UserId], str]:
    """(session, user) to role, of all participants of these sessions whose account is not closed."""
    rows = Participant.objects.filter(session_id__in=session_ids, user__is_active=True)
    return {(row[0], row[1]): row[2] for row in rows.values_list("session_id", "user_id", "role")}


def open_accounts(user_ids: set[UserId]) -> set[UserId]:
    users = get_user_model()._default_manager.filter(pk__in=user_ids, is_active=True)
    return set(users.values_list("pk", flat=True)) if user_ids else set()


def open_links(link_ids: set[int]) -> set[int]:
    return set(ShareLink.objects.open().filter(pk__in=link_ids).values_list("pk", flat=True)) if link_ids else set()


def _keeps_sign_ins_in_the_database() -> bool:
    return settings.SESSION_ENGINE.rpartition(".")[2] in ("db", "cached_db")


def is_own_origin(origin: str, host: str) -> bool:
    try:
        scheme, netloc, *_ = urlsplit(origin)
    except ValueError:  # no address at all
        return False
    if not netloc:
        return False
    for trusted in settings.CSRF_TRUSTED_ORIGINS:
        its_scheme, _, its_host = trusted.partition("://")
        if scheme == its_scheme and is_same_domain(netloc, its_host.removeprefix("*")):  # as Django's CSRF check does
            return True
    domain, _ = split_domain_port(host)
    hosts: Iterable[str] = settings.ALLOWED_HOSTS or (["localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    return netloc.lower() == host.lower() and bool(domain) and validate_host(domain, hosts)
