from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from ninja import Path, Router, Status

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import WRITERS, session_for
from assistant.api.problems import refuses
from assistant.lifecycle import people
from assistant.models import Invitation
from assistant.presentation import wire

router = Router()


@router.get(
    "/sessions/{session_id}/invitations", response=schemas.Invitations, summary="The invitations that are open"
)
@refuses("403 forbidden")
def list_invitations(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id, *WRITERS)
    rows = Invitation.objects.open().filter(session=session).select_related("created_by").order_by("-id")
    return {"invitations": [_json(request, row) for row in rows]}


@router.post("/sessions/{session_id}/invitations", response={201: schemas.Invitation}, summary="A link to come in by")
@refuses("429 too_many_invitations")
def create_invitation(request: HttpRequest, session_id: UUID, payload: schemas.NewInvitation) -> Any:
    session = session_for(request, session_id, *WRITERS)
    made = people.invite(session, user_of(request), payload.role, payload.expires_in, payload.max_uses)
    return Status(201, _json(request, made))


@router.delete(
    "/sessions/{session_id}/invitations/{invitation_id}",
    response={204: None},
    summary="Revoke one: the owner any, an editor their own",
)
@refuses("403 not_yours")
def revoke_invitation(request: HttpRequest, session_id: UUID, invitation_id: int = Path(ge=1, lt=2**63)) -> Any:
    people.revoke(session_for(request, session_id, *WRITERS), user_of(request), invitation_id)
    return Status(204, None)


def _json(request: HttpRequest, invitation: Invitation) -> dict[str, Any]:
    token = invitation.token
    url = request.build_absolute_uri(reverse("assistant:invite", args=[token])) if token else None
    return {"url": url, **wire.invitation_json(invitation)}
