"""For whoever has a session's share link, signed in or not: the link authorises, so a cookie or a token adds nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router

from assistant import conf
from assistant.api import schemas
from assistant.api.attachments import file_response
from assistant.api.openapi import A_FILE
from assistant.api.problems import refuses
from assistant.lifecycle.refusal import Refused, check_rate
from assistant.models import Attachment, ShareLink
from assistant.presentation import public, wire
from assistant.presentation.snapshot import PAGE, page_before

router = Router()


@router.get(
    "/shared/{token}/messages",
    auth=None,
    response=schemas.SharedMessages,
    summary="A page of what was said, oldest first; `before` is the id of a message that was shown",
)
@refuses("429 too_many_requests")
def list_shared_messages(
    request: HttpRequest, token: str, before: UUID | None = None, limit: int = Query(PAGE, ge=1, le=200)
) -> Any:
    session = link_for(token).session
    anchor = session.messages.filter(pk=before).first() if before else None
    if before and anchor is None:
        raise Refused("invalid", "before: there is no such message in this session.", status=422)
    page = page_before(session, anchor, limit)
    shown = public.messages([wire.message_json_now(message) for message in page.messages], token)
    return {"messages": shown, "has_more": page.has_more}


@router.get(
    "/shared/{token}/attachments/{attachment_id}/file",
    auth=None,
    openapi_extra=A_FILE,
    summary="The bytes of a file that was sent",
)
@refuses("429 too_many_requests")
def get_shared_file(request: HttpRequest, token: str, attachment_id: UUID, small: bool = False) -> HttpResponse:
    shown = Q(message__status="success") | Q(message__role="assistant")  # of questions that wait nothing is
    sent = Attachment.objects.shown().filter(
        shown, session=link_for(token).session, call=None, file__written_at__isnull=False
    )
    attachment = sent.filter(pk=attachment_id).first()
    if attachment is None:
        raise Http404
    return file_response(attachment, small=small)


def link_for(token: str) -> ShareLink:
    """The open link. Raises Http404, Refused (too_many_requests)."""
    link = ShareLink.find(token)
    if link is None:
        raise Http404
    detail = "Too many people read along just now. Try again in a while."
    check_rate(f"share:{link.pk}", conf.settings.share_rate, detail, code="too_many_requests")
    return link
