"""Files: uploaded before they are sent, served to those who may read the message."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import content_disposition_header
from ninja import File, Router, Status
from ninja.files import UploadedFile

from assistant import conf
from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import WRITERS, session_for
from assistant.api.openapi import A_FILE
from assistant.api.problems import UPLOADING, refuses
from assistant.lifecycle import attaching, refusal
from assistant.lifecycle.refusal import Refused
from assistant.models import Attachment, ChatSession
from assistant.models.attachment import storage
from assistant.presentation import wire
from assistant.worker import errands

router = Router()

KEPT_SECONDS = 3600


@router.post(
    "/sessions/{session_id}/attachments",
    response={201: schemas.Attachment},
    summary="Upload a file (multipart, the field `file`) for a message to come; send its id with it",
)
@refuses(*UPLOADING)
def upload_file(request: HttpRequest, session_id: UUID, file: File[UploadedFile]) -> Any:
    session = session_for(request, session_id, *WRITERS)
    return _uploaded(request, file, session)


@router.post(
    "/attachments",
    response={201: schemas.Attachment},
    summary="The same for a session that is yet to be made",
)
@refuses(*UPLOADING)
def upload_file_before_session(request: HttpRequest, file: File[UploadedFile]) -> Any:
    return _uploaded(request, file, None)


@router.get(
    "/sessions/{session_id}/resources",
    response=schemas.Resources,
    summary="What the session's MCP servers have to read, to be attached",
)
@refuses("403 forbidden", "429 too_fast", "503 busy")
def list_resources(request: HttpRequest, session_id: UUID) -> Any:
    session = session_for(request, session_id, *WRITERS)
    _check_resource_rate(request)
    return errands.resources_of(session)


@router.post(
    "/sessions/{session_id}/resources",
    response={201: schemas.Attachment},
    summary="Attach one of them, as if it had been uploaded; send the attachment's id with a message",
)
@refuses(*UPLOADING, "422 no_such_resource", "503 busy")
def attach_resource(request: HttpRequest, session_id: UUID, chosen: schemas.ChosenResource) -> Any:
    session = session_for(request, session_id, *WRITERS)
    _check_resource_rate(request)
    made = errands.attach_resource(session, user_of(request), chosen.server, chosen.uri)
    return Status(201, wire.attachment_json(Attachment.objects.shown().get(pk=made)))


def _check_resource_rate(request: HttpRequest) -> None:
    """Of what servers are asked for. Raises Refused."""
    detail = "You have looked often enough for a moment. Go on in {seconds} s."
    refusal.check_rate(f"resources:{user_of(request).pk}", conf.settings.upload_rate, detail)


def _uploaded(request: HttpRequest, file: UploadedFile, session: ChatSession | None) -> Any:
    attachment = attaching.upload(user_of(request), file.name or "", file, session)
    return Status(201, wire.attachment_json(attachment))


@router.get("/attachments/{attachment_id}", response=schemas.Attachment, summary="What is known of a file")
def get_attachment(request: HttpRequest, attachment_id: UUID) -> Any:
    return wire.attachment_json(_readable(request, attachment_id))


@router.delete("/attachments/{attachment_id}", response={204: None}, summary="Take back one's own unsent file")
@refuses("403 not_yours", "409 already_sent")
def take_file_back(request: HttpRequest, attachment_id: UUID) -> Any:
    attachment = _readable(request, attachment_id)
    if attachment.uploader_id != user_of(request).pk:
        raise Refused("not_yours", "Only who uploaded a file can take it back.", status=403)
    attaching.take_back(attachment)
    return Status(204, None)


@router.get(
    "/attachments/{attachment_id}/file",
    openapi_extra=A_FILE,
    summary="Its bytes; with ?small=1 an image made small",
)
def get_file(request: HttpRequest, attachment_id: UUID, small: bool = False) -> HttpResponse:
    return file_response(_readable(request, attachment_id), small=small)


def _readable(request: HttpRequest, attachment_id: UUID) -> Attachment:
    """A file of a message of the user's sessions, or one that the user has uploaded and not sent. Raises Http404."""
    user = user_of(request)
    mine = ChatSession.objects.for_user(user).order_by()
    sent = Q(message__isnull=False, session__in=mine)
    unsent = Q(message=None, uploader_id=user.pk)
    found = Attachment.objects.shown().filter(sent | unsent, pk=attachment_id, file__written_at__isnull=False).first()
    if found is None:
        raise Http404
    return found


def file_response(attachment: Attachment, *, small: bool = False) -> HttpResponse:
    """The bytes, so that no browser takes them for a page of this site: only raster images are shown, all else is saved."""
    file = attachment.file
    key, type_ = (file.small_key, file.small_type) if small and file.small_key else (file.key, file.type)
    try:
        with storage().open(key) as stored:
            content = stored.read()
    except FileNotFoundError:
        raise Http404 from None
    plain = f"{type_}; charset=utf-8" if type_ == "text/plain" else type_
    response = HttpResponse(content, content_type=plain)
    response["Content-Disposition"] = content_disposition_header(not file.is_image, attachment.name) or "attachment"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = f"private, max-age={KEPT_SECONDS}"
    return response
