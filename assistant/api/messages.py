from __future__ import annotations

import functools
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import WRITERS, message_for, own_message_for, session_for
from assistant.api.problems import ASKING, refuses
from assistant.lifecycle import asking, ordering
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession
from assistant.models.participant import Role
from assistant.presentation import wire
from assistant.presentation.snapshot import PAGE, Page, page_after, page_around, page_before

router = Router()


@router.get("/sessions/{session_id}/messages", response=schemas.Messages, summary="A page of messages, oldest first")
def list_messages(
    request: HttpRequest,
    session_id: UUID,
    before: UUID | None = None,
    after: UUID | None = None,
    around: UUID | None = None,
    limit: int = Query(PAGE, ge=1, le=200),
) -> Any:
    session = session_for(request, session_id)
    page = _page(session, {"before": before, "after": after, "around": around}, limit)
    return {
        "messages": [wire.message_json_now(message) for message in page.messages],
        "has_more": page.has_more,
        "has_newer": page.has_newer,
    }


def _page(session: ChatSession, anchors: dict[str, UUID | None], limit: int) -> Page:
    given = [(name, message_id) for name, message_id in anchors.items() if message_id]
    if not given:
        return page_before(session, None, limit)
    if len(given) > 1:
        raise Refused("invalid", "before, after, around: give one of them.", status=422)
    [(name, message_id)] = given
    anchor = session.messages.filter(pk=message_id).first()
    if anchor is None:
        raise Refused("invalid", f"{name}: there is no such message in this session.", status=422)
    return {"before": page_before, "after": page_after, "around": page_around}[name](session, anchor, limit)


@router.post(
    "/sessions/{session_id}/messages",
    response={200: schemas.Pair, 201: schemas.Pair},
    summary="Ask. The same client_id again answers 200 with the same pair and does nothing else",
)
@refuses(*ASKING, "422 no_such_attachment too_many_attachments", "429 quota_full")
def send_message(request: HttpRequest, session_id: UUID, payload: schemas.NewMessage) -> Any:
    session = session_for(request, session_id, *WRITERS)
    sent = asking.send(
        session,
        user_of(request),
        payload.content,
        payload.client_id,
        payload.model,
        payload.when or "",
        attachments=payload.attachments,
    )
    # What was made just now has its job; of an earlier send it is looked up how its answer stands.
    told = functools.partial(wire.message_json, alive=True) if sent.is_new else wire.message_json_now
    reply = sent.reply and told(sent.reply)
    return Status(201 if sent.is_new else 200, {"message": wire.message_json(sent.message), "reply": reply})


@router.get("/messages/{message_id}", response=schemas.Message, summary="A message as of now, with its live text")
def get_message(request: HttpRequest, message_id: UUID) -> Any:
    return wire.message_json_now(message_for(request, message_id))


@router.patch("/messages/{message_id}", response=schemas.Message, summary="Edit one's own waiting message")
@refuses("403 not_yours", "409 already_promoted already_withdrawn", "422 empty too_long")
def edit_message(request: HttpRequest, message_id: UUID, payload: schemas.NewContent) -> Any:
    return wire.message_json(asking.edit(own_message_for(request, message_id), payload.content))


@router.delete("/messages/{message_id}", response=schemas.Message, summary="Withdraw one's own waiting message")
@refuses("403 not_yours", "409 already_promoted already_withdrawn")
def withdraw_message(request: HttpRequest, message_id: UUID) -> Any:
    return wire.message_json(asking.withdraw(own_message_for(request, message_id)))


@router.post(
    "/messages/{message_id}/move",
    response=schemas.Message,
    summary="Move a waiting message in the queue: one's own, or any as the owner",
)
@refuses("403 not_yours", "409 already_promoted already_withdrawn not_waiting")
def move_message(request: HttpRequest, message_id: UUID, payload: schemas.Place) -> Any:
    message = message_for(request, message_id, *WRITERS)
    if message.session.role_of(user_of(request)) != Role.OWNER:
        message = own_message_for(request, message_id)
    return wire.message_json(ordering.move(message, payload.before))


@router.post(
    "/messages/{message_id}/send-now",
    response=schemas.Pair,
    summary="Ask a waiting message at once; the running answer is stopped, its text is kept",
)
@refuses("409 already_promoted already_withdrawn")
def send_message_now(request: HttpRequest, message_id: UUID) -> Any:
    sent = ordering.send_now(message_for(request, message_id, *WRITERS), user_of(request))
    assert sent.reply is not None
    return {"message": wire.message_json(sent.message), "reply": wire.message_json_now(sent.reply)}


@router.get(
    "/messages/{message_id}/settings", response=schemas.Settings, summary="What an answer was asked with, in full"
)
@refuses("422 not_an_answer")
def get_answer_settings(request: HttpRequest, message_id: UUID) -> Any:
    message = message_for(request, message_id)
    if not message.is_answer:
        raise Refused("not_an_answer", "Only an answer was asked for with settings.", 422)
    prompt = message.system_prompt.text if message.system_prompt else ""
    return {"model": message.model, "parameters": message.parameters, "system_prompt": prompt}


@router.post("/messages/{message_id}/cancel", response=schemas.Message, summary="Stop an answer; its text is kept")
@refuses("409 already_finished not_an_answer")
def cancel_message(request: HttpRequest, message_id: UUID) -> Any:
    return wire.message_json(asking.cancel(message_for(request, message_id, *WRITERS), user_of(request)))


@router.post(
    "/messages/{message_id}/retry", response={201: schemas.Reply}, summary="A new answer to the same question"
)
@refuses("409 session_busy not_answerable", "422 invalid_model", "429 too_fast over_quota")
def retry_message(request: HttpRequest, message_id: UUID, payload: schemas.Retry | None = None) -> Any:
    reply = asking.retry(
        message_for(request, message_id, *WRITERS), payload.model if payload else "", user_of(request)
    )
    return Status(201, {"reply": wire.message_json_now(reply)})
