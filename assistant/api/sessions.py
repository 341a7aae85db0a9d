from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Query, Router, Status

from assistant import catalogue
from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import WRITERS, session_for
from assistant.api.problems import refuses
from assistant.lifecycle import asking, own_list, session_changes
from assistant.models import ChatSession, Participant
from assistant.models.participant import Role, display_name, hue
from assistant.models.session import UNTITLED, TitledBy
from assistant.models.user_id import shown_id
from assistant.presentation import events, sidebar, wire

router = Router()

LONGEST_PAGE = 100


@router.get("/me", response=schemas.Me, summary="Who the token or cookie speaks for")
def get_me(request: HttpRequest) -> dict[str, Any]:
    user = user_of(request)
    is_staff = getattr(user, "is_staff", False)  # not every user model has it
    return {"id": shown_id(user.pk), "name": display_name(user), "color": hue(user.pk), "is_staff": is_staff}


@router.get("/models", response=schemas.Models, summary="The models to choose from")
def list_models(request: HttpRequest) -> dict[str, Any]:
    entries = catalogue.entries()
    return {"models": [{"id": e.id, "label": e.label} for e in entries], "default": entries[0].id}


@router.get("/sessions", response=schemas.Sessions, summary="One's sessions, newest activity first")
@refuses("404 not_found")  # the session `before`
def list_sessions(
    request: HttpRequest,
    archived: bool = False,
    before: UUID | None = None,
    limit: int = Query(sidebar.PAGE, ge=1, le=LONGEST_PAGE),
    offset: int = Query(0, ge=0, le=1_000_000),
) -> Any:
    last = session_for(request, before) if before else None
    sessions, has_more = sidebar.listed(user_of(request), archived=archived, limit=limit, offset=offset, before=last)
    return {"sessions": sessions, "has_more": has_more}


@router.post("/sessions", response={201: schemas.Session}, summary="A new session, owned by who makes it")
@refuses("422 invalid_model invalid_service")
def create_session(request: HttpRequest, payload: schemas.NewSession | None = None) -> Any:
    wanted = payload or schemas.NewSession.model_validate({})
    asking.check_model(wanted.model or "")
    session_changes.check_services(wanted.services or [], [])
    with transaction.atomic():
        title = (wanted.title or "").strip()
        by = TitledBy.PERSON if title else TitledBy.NOBODY
        session = ChatSession.objects.create(title=title or UNTITLED, titled_by=by)
        owner = Participant.objects.create(session=session, user=user_of(request), role=Role.OWNER)
        session.refresh_from_db()
        if settings := wanted.settings():
            session_changes.change(session, **settings)
        events.list_changed(owner)
    return Status(201, wire.own_json(owner, running=False))


@router.get("/sessions/{session_id}", response=schemas.Session)
def get_session(request: HttpRequest, session_id: UUID) -> Any:
    return _shown(request, session_for(request, session_id))


@router.patch("/sessions/{session_id}", response=schemas.Session, summary="Rename it, or change its settings")
@refuses("422 invalid_model invalid_service")
def change_session(request: HttpRequest, session_id: UUID, payload: schemas.SessionChanges) -> Any:
    session = session_for(request, session_id, *WRITERS)
    asking.check_model(payload.model or "")
    session_changes.check_services(payload.services or [], session.services)
    session_changes.change(session, title=payload.title, **payload.settings())
    return _shown(request, session)


@router.delete("/sessions/{session_id}", response={204: None}, summary="Delete it with all that belongs to it")
def delete_session(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id, Role.OWNER)
    session_changes.delete(session)
    return Status(204, None)


@router.post("/sessions/{session_id}/resume", response=schemas.Session, summary="Go on with a paused queue")
def resume_session(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id, *WRITERS)
    asking.resume(session)
    session.refresh_from_db()
    return _shown(request, session)


@router.post("/sessions/{session_id}/read", response=schemas.Session, summary="One has read it, up to what was said")
def mark_session_read(request: HttpRequest, session_id: UUID, payload: schemas.Reading | None = None) -> Any:
    session = session_for(request, session_id)
    return _own(own_list.mark_read(session, user_of(request), payload.said if payload else None))


@router.post(
    "/sessions/{session_id}/archive", response=schemas.Session, summary="Out of one's list, until somebody asks"
)
def archive_session(request: HttpRequest, session_id: UUID) -> Any:
    return _own(own_list.archive(session_for(request, session_id), user_of(request)))


@router.post("/sessions/{session_id}/unarchive", response=schemas.Session, summary="Back into one's list")
def unarchive_session(request: HttpRequest, session_id: UUID) -> Any:
    return _own(own_list.unarchive(session_for(request, session_id), user_of(request)))


def _own(participant: Participant) -> dict[str, Any]:
    return wire.own_json(participant, running=participant.session.messages.running().exists())


def _shown(request: HttpRequest, session: ChatSession) -> dict[str, Any]:
    participant = Participant.objects.get(session=session, user=user_of(request))
    participant.session = session
    return _own(participant)
