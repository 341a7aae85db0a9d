from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import session_for
from assistant.api.problems import refuses
from assistant.lifecycle import people
from assistant.models import ChatSession
from assistant.models.participant import Role

router = Router()


@router.get("/sessions/{session_id}/participants", response=schemas.Participants, summary="Who takes part")
def list_participants(request: HttpRequest, session_id: UUID) -> Any:
    return _shown(session_for(request, session_id))


@router.patch(
    "/sessions/{session_id}/participants/{path:user_id}",
    response=schemas.Participant,
    summary="Change somebody's role",
)
@refuses("409 owner_stays")
def change_role(
    request: HttpRequest, session_id: UUID, user_id: schemas.UserIdInPath, payload: schemas.NewRole
) -> Any:
    session = session_for(request, session_id, Role.OWNER)
    return people.change_role(session, user_of(request), user_id, payload.role).as_json()


@router.delete(
    "/sessions/{session_id}/participants/{path:user_id}",
    response={204: None},
    summary="Remove somebody: they are disconnected at once. The own id: leave",
)
@refuses("409 owner_stays owner_must_hand_over last_person")
def remove_participant(request: HttpRequest, session_id: UUID, user_id: schemas.UserIdInPath) -> Any:
    if user_id == user_of(request).pk:
        people.leave(session_for(request, session_id), user_of(request))
    else:
        people.remove(session_for(request, session_id, Role.OWNER), user_of(request), user_id)
    return Status(204, None)


@router.post(
    "/sessions/{session_id}/owner",
    response=schemas.Participants,
    summary="Hand the session over to another participant; who did becomes an editor",
)
@refuses("409 already_owner closed_account")
def hand_over_session(request: HttpRequest, session_id: UUID, payload: schemas.NewOwner) -> Any:
    session = session_for(request, session_id, Role.OWNER)
    people.make_owner(session, user_of(request), payload.user)
    return _shown(session)


@router.post("/sessions/{session_id}/leave", response={204: None}, summary="Leave the session")
@refuses("409 owner_must_hand_over last_person")
def leave_session(request: HttpRequest, session_id: UUID) -> Any:
    people.leave(session_for(request, session_id), user_of(request))
    return Status(204, None)


def _shown(session: ChatSession) -> dict[str, Any]:
    rows = session.participants.select_related("user").order_by("joined_at", "id")
    return {"participants": [row.as_json() for row in rows]}
