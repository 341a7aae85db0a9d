from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import session_for
from assistant.lifecycle import ledger

router = Router()


@router.get("/sessions/{session_id}/usage", response=schemas.SessionUsage, summary="What its answers have cost")
def get_session_usage(request: HttpRequest, session_id: UUID) -> Any:
    return ledger.of_session(session_for(request, session_id))


@router.get(
    "/me/usage", response=schemas.OwnUsage, summary="What one has used, by day and model, and what is left today"
)
def get_own_usage(request: HttpRequest, days: int = Query(30, ge=1, le=366)) -> Any:
    return ledger.of_user(user_of(request).pk, days)
