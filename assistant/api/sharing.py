from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Status

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import session_for
from assistant.lifecycle import people
from assistant.models import ShareLink
from assistant.models.participant import Role

router = Router()


@router.get("/sessions/{session_id}/share", response=schemas.Share, summary="Whether anyone can read along by a link")
def get_share(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id)
    link = ShareLink.objects.filter(session=session).first()
    return _link(request, link, is_owner=session.role_of(user_of(request)) == Role.OWNER)


@router.post(
    "/sessions/{session_id}/share",
    response={200: schemas.Share, 201: schemas.Share},
    summary="A link by which anyone can read along, live. If there is one already: 200 and that one",
)
def share_session(request: HttpRequest, session_id: UUID) -> Any:
    link, is_new = people.share(session_for(request, session_id, Role.OWNER), user_of(request))
    return Status(201 if is_new else 200, _link(request, link, is_owner=True))


@router.delete(
    "/sessions/{session_id}/share", response={204: None}, summary="End that: its readers are disconnected at once"
)
def unshare_session(request: HttpRequest, session_id: UUID) -> Any:
    people.unshare(session_for(request, session_id, Role.OWNER), user_of(request))
    return Status(204, None)


def _link(request: HttpRequest, link: ShareLink | None, *, is_owner: bool) -> dict[str, Any]:
    token = link and link.token
    url = request.build_absolute_uri(reverse("assistant:shared", args=[token])) if token and is_owner else None
    return {"shared": link is not None, "url": url}
