"""Grants as they are stored: what an administrator has signed in for. Several processes use one, and one of them renews it.

A token is renewed when the server refuses it, never by the clock: whose clock would it be? A refresh token is often good
for one use, so who renews holds the grant for a while, and the others wait for what comes of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from assistant import sealing
from assistant.models.mcp_server import McpGrant, McpServer

RENEWING_SECONDS = 40  # longer than a renewal takes; who died over it holds it no longer

Secret = dict[str, Any]  # what `oauth.Tokens` and `oauth.Begun` are made of


@dataclass(frozen=True, slots=True)
class Held:
    """What there is: `tokens`, or None where somebody has to sign in again. `is_mine`: who asked is to renew them."""

    tokens: Secret | None
    is_mine: bool = False


def begin(server: McpServer, pending: Secret) -> None:
    """Keeps what a sign-in needs that has begun; of several the last one counts. A connection that there is stays."""
    McpGrant.objects.update_or_create(server=server, defaults={"pending": sealing.seal(json.dumps(pending))})


def pending(server: McpServer) -> Secret | None:
    """What was begun, once: it is forgotten by this."""
    with transaction.atomic():
        grant = McpGrant.objects.select_for_update(of=("self",)).filter(server=server).first()
        if grant is None or not grant.pending:
            return None
        begun, grant.pending = sealing.unseal(grant.pending), ""
        grant.save(update_fields=["pending"])
    return json.loads(begun) if begun else None


def connect(server: McpServer, tokens: Secret, by: Any) -> None:
    McpGrant.objects.filter(server=server).update(
        url=server.url, tokens=sealing.seal(json.dumps(tokens)), is_lost=False, renewing_until=None,
        connected_by=by, connected_at=Now(),
    )  # fmt: skip


def known_client(server: McpServer) -> Secret | None:
    """Our registration with the server's authorization server, if there is one."""
    grant = McpGrant.objects.filter(server=server, url=server.url).exclude(tokens="").first()
    tokens = _opened(grant)
    return tokens["client"] if tokens else None


def held(grant_id: int) -> Held:
    return Held(_opened(_usable(grant_id)))


def to_renew(grant_id: int, refused: str) -> Held | None:
    """As `held`, with `is_mine` where the access token `refused` is still the present one; None: another one renews it."""
    tokens = _opened(_usable(grant_id))
    if tokens is None:
        lose(grant_id)
        return Held(None)
    if tokens["access"] != refused:
        return Held(tokens)
    free = Q(renewing_until=None) | Q(renewing_until__lt=Now())
    until = Now() + timedelta(seconds=RENEWING_SECONDS)
    won = McpGrant.objects.filter(free, pk=grant_id, is_lost=False).update(renewing_until=until)
    if not won:
        return None
    # Somebody may have renewed it between the look and the claim.
    tokens = _opened(_usable(grant_id))
    if tokens is not None and tokens["access"] != refused:
        give_up_renewing(grant_id)
        return Held(tokens)
    return Held(tokens, is_mine=True)


def keep(grant_id: int, tokens: Secret) -> None:
    McpGrant.objects.filter(pk=grant_id).update(tokens=sealing.seal(json.dumps(tokens)), renewing_until=None)


def give_up_renewing(grant_id: int) -> None:
    """It could not be renewed now; somebody may try again."""
    McpGrant.objects.filter(pk=grant_id).update(renewing_until=None)


def lose(grant_id: int) -> None:
    """Somebody has to sign in again."""
    McpGrant.objects.filter(pk=grant_id).update(is_lost=True, renewing_until=None)


def _usable(grant_id: int) -> McpGrant | None:
    grant = McpGrant.objects.select_related("server").filter(pk=grant_id).first()
    return grant if grant is not None and grant.is_usable else None


def _opened(grant: McpGrant | None) -> Secret | None:
    text = sealing.unseal(grant.tokens) if grant is not None else None
    return json.loads(text) if text else None
