from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router

from assistant import search
from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.presentation import wire

router = Router()

LONGEST_QUERY = 1000
MOST_TITLES = 5


@router.get("/search", response=schemas.Found, summary="What was said in one's sessions, newest first")
def search_messages(
    request: HttpRequest,
    q: Annotated[schemas.Text, Query(max_length=LONGEST_QUERY)],
    before: UUID | None = None,
    limit: int = Query(20, ge=1, le=100),
) -> Any:
    user = user_of(request)
    titles = [] if before else search.find_titles(user, q, MOST_TITLES)
    hits, has_more = search.find(user, q, limit, before)
    return {
        "sessions": [{"id": str(session.pk), "title": session.title} for session in titles],
        "messages": [wire.hit_json(hit) for hit in hits],
        "has_more": has_more,
    }
