from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header
from ninja import Router, Status

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import message_for, own_message_for, session_for
from assistant.api.openapi import answers
from assistant.api.problems import ASKING, refuses
from assistant.database import Database
from assistant.lifecycle import forking, resending
from assistant.presentation import export, wire

router = Router()

_TYPES = {"md": "text/markdown; charset=utf-8", "json": "application/json"}
_CHUNK_BYTES = 64 * 1024
_database: Database | None = None


@router.post(
    "/messages/{message_id}/fork",
    response={201: schemas.Session},
    summary="A session of one's own, up to this message",
)
@refuses("409 not_finished")
def fork_message(request: HttpRequest, message_id: UUID) -> Any:
    owner = forking.fork(message_for(request, message_id), user_of(request))
    return Status(201, wire.own_json(owner, running=False))


@router.post(
    "/messages/{message_id}/resend",
    response={200: schemas.Pair, 201: schemas.Pair},
    summary="Ask one's last question in other words; the same client_id again answers 200 and does nothing else",
)
@refuses(*ASKING, "403 not_yours", "409 not_last")
def resend_message(request: HttpRequest, message_id: UUID, payload: schemas.Resent) -> Any:
    question = own_message_for(request, message_id)
    sent = resending.resend(question, user_of(request), payload.content, payload.client_id, payload.model)
    reply = sent.reply and wire.message_json_now(sent.reply)
    return Status(201 if sent.is_new else 200, {"message": wire.message_json_now(sent.message), "reply": reply})


@router.get(
    "/sessions/{session_id}/export",
    openapi_extra=answers({"text/markdown": {"type": "string"}, "application/json": {"type": "object"}}),
    summary="The session as a file: Markdown, or JSON with everything",
)
def export_session(request: HttpRequest, session_id: UUID, format: Literal["md", "json"] = "md") -> Any:
    session = session_for(request, session_id)
    pieces = _chunks(export.as_markdown(session) if format == "md" else export.as_json(session))
    # Under ASGI a plain iterator would be read to its end before the first byte leaves.
    content = _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    response = StreamingHttpResponse(content, content_type=_TYPES[format])
    disposition = content_disposition_header(True, export.file_name(session, format))
    assert disposition is not None
    response["Content-Disposition"] = disposition
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces in chunks that are worth a write."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= _CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    yield bytes(held)


async def _in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    global _database
    if _database is None:
        _database = Database("exports", threads=2)
    while chunk := await _database.call_once(next, chunks, b""):
        yield chunk
