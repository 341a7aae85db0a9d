from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.rooms import WRITERS, session_for
from assistant.models import Invitation

router = Router()


@router.post("/sessions/{session_id}/invitations", response={201: schemas.Invitation}, summary="A link to come in by")
def invite(request: HttpRequest, session_id: UUID, payload: schemas.NewInvitation) -> Any:
    session = session_for(request, session_id, *WRITERS)
    invitation, token = Invitation.issue(session, user_of(request), payload.role)
    url = request.build_absolute_uri(reverse("assistant:invite", args=[token]))
    return Status(201, {"url": url, "expires_at": invitation.expires_at.isoformat().replace("+00:00", "Z")})
