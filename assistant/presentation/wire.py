"""How sessions and messages look on the wire: the JSON of the HTTP API and of the WebSocket's frames."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from django.db.models import Prefetch, prefetch_related_objects

from assistant import addresses, markup
from assistant.delivery import live_text
from assistant.models.attachment import Attachment
from assistant.models.invitation import Invitation
from assistant.models.message import Message, Status
from assistant.models.participant import Participant, display_name
from assistant.models.session import ChatSession
from assistant.models.tool_call import ToolCall
from assistant.models.user_id import shown_id
from assistant.search import Hit
from assistant.text.reasoned import Reasoned

RESULT_SHOWN = 4_000  # characters of a call's result that viewers are sent; the model is told all of it


def encode(type_: str, **fields: Any) -> str:
    """A frame."""
    return orjson.dumps({"type": type_, **fields}).decode()


def message_json(message: Message, *, alive: bool | None = None) -> dict[str, Any]:
    """A message as stored. `alive` is looked up unless the caller knows it.

    A message that is being written is what the database last heard of it; `message_json_now` adds the live text.
    """
    if alive is None:
        alive = message.is_alive()
    calls = calls_of(message)
    html, ends = _drawn(message, calls)
    return {
        "id": str(message.id),
        "session": str(message.session_id),
        "position": message.position,
        "role": message.role,
        "author": _person(message.author),
        "client_id": message.client_id,
        "content": message.content,
        "html": html,
        "status": message.status,
        "version": message.version,
        "attempt": message.attempt,
        "interruptions": message.interruptions,
        "seq": message.seq,
        "alive": alive,
        "reply_to": str(message.reply_to_id) if message.reply_to_id else None,
        "superseded_by": str(message.superseded_by_id) if message.superseded_by_id else None,
        "when": message.when or None,
        "taken_by": str(message.taken_by_id) if message.taken_by_id else None,
        "taken_round": message.taken_round,
        "mentions": message.mentions,
        "model": message.model or None,
        "settings": _settings(message),
        "cut": message.cut or None,
        "error": _error(message),
        "tried": message.tried or [],
        "missing": message.missing or [],
        "stopped_by": _person(message.stopped_by),
        "tool_calls": calls_json(calls, ends),
        "attachments": attachments_json(message) if message.pictures or not message.is_answer else [],
        "reasoning": reasoning_json(message.reasoned, message.reasoning_tokens),
        "sources": [{"url": source["url"], "title": source["title"]} for source in message.sources or ()],
        "usage": message.usage,
        "created_at": _moment(message.created_at),
        "started_at": _moment(message.started_at),
        "finished_at": _moment(message.finished_at),
    }


def reasoning_json(reasoned: Reasoned | None, tokens: int | None) -> dict[str, Any] | None:
    if reasoned is None:
        return None
    return {"content": reasoned.content, "seconds": reasoned.seconds, "tokens": tokens, "seq": reasoned.seq}


def _error(message: Message) -> dict[str, Any] | None:
    if not message.error_code:
        return None
    return {"code": message.error_code, "detail": message.error_detail, "bounced": message.is_bounced}


def message_json_now(message: Message) -> dict[str, Any]:
    """A message with its texts as of this moment: where it is being written, the live ones and their `seq`."""
    data = message_json(message)
    if message.status == Status.PROCESSING:
        text = live_text.read(message.id)
        if text is not None and text.is_as_far_as(message.attempt, message.seq, message.reasoning_seq):
            html, _ = markup.blocks_by_round(text.content, round_ends(calls_of(message)))
            data |= {"content": text.content, "seq": text.seq, "html": html}
            data["reasoning"] = reasoning_json(text.reasoned, message.reasoning_tokens)
    return data


def calls_of(message: Message) -> list[ToolCall]:
    """The tool calls of an answer, in order. Most have none, and need no query for it."""
    return list(message.tool_calls.all()) if message.rounds else []


def round_ends(calls: list[ToolCall]) -> tuple[int, ...]:
    """Where in the text the rounds of these calls stand, in characters."""
    return tuple({call.round: call.at for call in calls}.values())


def calls_json(calls: list[ToolCall], ends: list[int]) -> list[dict[str, Any]]:
    """`ends`: how many blocks of the answer's HTML stand before each round."""
    if not calls:
        return []
    places = dict(zip(dict.fromkeys(call.round for call in calls), ends, strict=False))
    prefetch_related_objects(
        [call for call in calls if call.image_count], Prefetch("images", Attachment.objects.shown())
    )
    return [
        {
            "id": str(call.id),
            "round": call.round,
            "at": call.at,
            "reasoning_at": call.reasoning_at,
            "block": places.get(call.round, 0),
            "name": call.name,
            "title": call.title,
            "doing": call.doing,
            "arguments": call.runs_with,
            "original_arguments": call.arguments if call.changed_arguments else None,
            "status": call.status,
            "approval": call.approval or None,
            "decided_by": _person(call.decided_by),
            "expires_at": _moment(call.expires_at),
            "form": call.form,
            "filled_by": _person(call.filled_by),
            "summary": call.summary,
            "result": call.result[:RESULT_SHOWN],
            "images": [attachment_json(image) for image in call.images.all()] if call.image_count else [],
            "started_at": _moment(call.started_at),
            "finished_at": _moment(call.finished_at),
        }
        for call in calls
    ]


def attachments_json(message: Message) -> list[dict[str, Any]]:
    prefetched = "attachments" in getattr(message, "_prefetched_objects_cache", {})
    attached = message.attachments.all() if prefetched else message.attachments.shown()
    return [attachment_json(attachment) for attachment in attached if attachment.call_id is None]


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    file = attachment.file
    return {
        "id": str(attachment.pk),
        "name": attachment.name,
        "type": file.type,
        "size": file.size,
        "url": addresses.api(f"attachments/{attachment.pk}/file"),
        "width": file.width,
        "height": file.height,
        "problem": file.problem or None,
    }


def _drawn(message: Message, calls: list[ToolCall]) -> tuple[list[str], list[int]]:
    """The blocks of HTML, and how many of them stand before each round of tool calls."""
    stored = message.html
    if stored and stored.get("version") == markup.VERSION:
        return list(stored["blocks"]), list(stored.get("ends", ()))
    return markup.blocks_by_round(message.content, round_ends(calls))


def rendered(content: str, ends: tuple[int, ...] = ()) -> dict[str, Any]:
    """The value of `Message.html` for a text that won't change any more, with rounds of tool calls at `ends` in it."""
    blocks, counts = markup.blocks_by_round(content, ends)
    return {"version": markup.VERSION, "blocks": blocks} | ({"ends": counts} if counts else {})


def session_json(session: ChatSession, role: str | None, *, running: bool) -> dict[str, Any]:
    """A session as everyone in it sees it."""
    return {
        "id": str(session.id),
        "version": session.version,
        "title": session.title,
        "model": session.model or None,
        "system_prompt": session.system_prompt,
        "parameters": session.parameters,
        "replies": session.replies,
        "when_busy": session.when_busy,
        "services": session.services,
        "role": role,
        "running": running,
        "said": session.said,
        "queue_paused_until": _moment(session.queue_paused_until),
        "queue_paused_for": session.queue_paused_for if session.queue_paused_until else None,
        "created_at": _moment(session.created_at),
        "updated_at": _moment(session.updated_at),
    }


def _settings(message: Message) -> dict[str, Any] | None:
    """What an answer was asked with. The prompt's text, which may be long, is at GET /api/messages/{id}/settings."""
    if not message.is_answer:
        return None
    prompt = str(message.system_prompt_id) if message.system_prompt_id else None
    return {"parameters": message.parameters, "system_prompt": prompt}


def listed_json(participant: Participant, *, running: bool) -> dict[str, Any]:
    """A session as it stands in the list of one of its participants, who sees in `yours` what only they have.

    Without the settings, of which a list has no use and which may be long.
    """
    full = own_json(participant, running=running)
    return {name: value for name, value in full.items() if name not in ("system_prompt", "parameters")}


def own_json(participant: Participant, *, running: bool) -> dict[str, Any]:
    """A session as one of its participants has it."""
    session = participant.session
    return session_json(session, participant.role, running=running) | {
        "yours": {
            "version": participant.version,
            "read": participant.read,
            "unread": participant.unread,
            "mentioned": participant.mentioned > participant.read,
            "archived": participant.archived_at is not None,
        }
    }


def invitation_json(invitation: Invitation) -> dict[str, Any]:
    """An invitation without its link, which only some may see."""
    return {
        "id": invitation.pk,
        "role": invitation.role,
        "created_by": _person(invitation.created_by),
        "created_at": _moment(invitation.created_at),
        "expires_at": _moment(invitation.expires_at),
        "uses": invitation.uses,
        "max_uses": invitation.max_uses,
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    """A message that a search has found, with the words around what was found."""
    message = hit.message
    return {
        "id": str(message.id),
        "session": {"id": str(message.session_id), "title": message.session.title},
        "role": message.role,
        "author": _person(message.author),
        "model": message.model or None,
        "created_at": _moment(message.created_at),
        "snippet": [{"text": piece.text, "mark": piece.mark} for piece in hit.snippet],
    }


def _person(user: Any) -> dict[str, Any] | None:
    return None if user is None else {"id": shown_id(user.pk), "name": display_name(user)}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
