from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from ninja import Query, Router, Status

from assistant import catalogue, wire
from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.rooms import WRITERS, session_for
from assistant.lifecycle import asking
from assistant.models import ChatSession, Message, Participant
from assistant.models.participant import Role, display_name, hue
from assistant.models.session import UNTITLED

router = Router()

LONGEST_PAGE = 100


@router.get("/me", response=dict[str, Any], summary="Who the token or cookie speaks for")
def me(request: HttpRequest) -> dict[str, Any]:
    user = user_of(request)
    return {"id": user.pk, "name": display_name(user), "color": hue(user.pk), "is_staff": user.is_staff}


@router.get("/models", response=schemas.Models, summary="The models to choose from")
def list_models(request: HttpRequest) -> dict[str, Any]:
    entries = catalogue.entries()
    return {"models": [{"id": e.id, "label": e.label} for e in entries], "default": entries[0].id}


@router.get("/sessions", response=schemas.Sessions, summary="One's sessions, newest activity first")
def list_sessions(
    request: HttpRequest, limit: int = Query(50, ge=1, le=LONGEST_PAGE), offset: int = Query(0, ge=0, le=1_000_000)
) -> Any:
    user = user_of(request)
    role = Participant.objects.filter(session=OuterRef("pk"), user=user).values("role")[:1]
    running = Message.objects.running().filter(session=OuterRef("pk"))
    rows = ChatSession.objects.for_user(user).annotate(my_role=role, is_running=Exists(running))
    found = list(rows[offset : offset + limit + 1])
    listed = [wire.session_json(row, row.my_role, running=row.is_running) for row in found[:limit]]
    return {"sessions": listed, "has_more": len(found) > limit}


@router.post("/sessions", response={201: schemas.Session}, summary="A new session, owned by who makes it")
def create_session(request: HttpRequest, payload: schemas.NewSession | None = None) -> Any:
    wanted = payload or schemas.NewSession(title="", model="")
    asking.check_model(wanted.model)
    with transaction.atomic():
        session = ChatSession.objects.create(title=wanted.title.strip() or UNTITLED, model=wanted.model)
        Participant.objects.create(session=session, user=user_of(request), role=Role.OWNER)
        session.refresh_from_db()
    return Status(201, wire.session_json(session, Role.OWNER, running=False))


@router.get("/sessions/{session_id}", response=schemas.Session)
def get_session(request: HttpRequest, session_id: UUID) -> Any:
    return _shown(request, session_for(request, session_id))


@router.patch("/sessions/{session_id}", response=schemas.Session, summary="Rename it, or choose its model")
def change_session(request: HttpRequest, session_id: UUID, payload: schemas.SessionChanges) -> Any:
    session = session_for(request, session_id, *WRITERS)
    model = payload.model
    if model is not None:
        asking.check_model(model)
    asking.change(session, title=payload.title, model=model)
    return _shown(request, session)


@router.delete("/sessions/{session_id}", response={204: None}, summary="Delete it with all that belongs to it")
def delete_session(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id, Role.OWNER)
    asking.delete(session)
    return Status(204, None)


@router.post("/sessions/{session_id}/resume", response=schemas.Session, summary="Go on with a paused queue")
def resume_session(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id, *WRITERS)
    asking.resume(session)
    session.refresh_from_db()
    return _shown(request, session)


def _shown(request: HttpRequest, session: ChatSession) -> dict[str, Any]:
    return wire.session_json(session, session.role_of(user_of(request)), running=session.messages.running().exists())
