from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from assistant import wire
from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.rooms import message_for, own_message_for
from assistant.lifecycle import forking, resending

router = Router()


@router.post(
    "/messages/{message_id}/fork",
    response={201: schemas.Session},
    summary="A session of one's own, up to this message",
)
def fork(request: HttpRequest, message_id: UUID) -> Any:
    owner = forking.fork(message_for(request, message_id), user_of(request))
    return Status(201, wire.own_json(owner, running=False))


@router.post(
    "/messages/{message_id}/resend",
    response={200: schemas.Pair, 201: schemas.Pair},
    summary="Ask one's last question in other words; the same client_id again answers 200 and does nothing else",
)
def resend(request: HttpRequest, message_id: UUID, payload: schemas.Resent) -> Any:
    question = own_message_for(request, message_id)
    sent = resending.resend(question, user_of(request), payload.content, payload.client_id, payload.model)
    reply = sent.reply and wire.message_json_now(sent.reply)
    return Status(201 if sent.is_new else 200, {"message": wire.message_json_now(sent.message), "reply": reply})
