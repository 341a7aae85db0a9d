"""How sessions and messages look on the wire: the JSON of the HTTP API and of the WebSocket's frames."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from assistant import live, markup
from assistant.models.message import Message, Status
from assistant.models.participant import display_name
from assistant.models.session import ChatSession


def message_json(message: Message, *, alive: bool | None = None) -> dict[str, Any]:
    """A message as stored. `alive` is looked up unless the caller knows it.

    A message that is being written is what the database last heard of it; `message_json_now` adds the live text.
    """
    if alive is None:
        alive = message.is_alive()
    return {
        "id": str(message.id),
        "session": str(message.session_id),
        "position": message.position,
        "role": message.role,
        "author": _person(message.author),
        "client_id": message.client_id,
        "content": message.content,
        "html": html_blocks(message),
        "status": message.status,
        "version": message.version,
        "attempt": message.attempt,
        "seq": message.seq,
        "alive": alive,
        "reply_to": str(message.reply_to_id) if message.reply_to_id else None,
        "when": message.when or None,
        "taken_by": str(message.taken_by_id) if message.taken_by_id else None,
        "taken_round": message.taken_round,
        "mentions": message.mentions,
        "model": message.model or None,
        "settings": _settings(message),
        "error": {"code": message.error_code, "detail": message.error_detail} if message.error_code else None,
        "stopped_by": _person(message.stopped_by),
        "tool_calls": [],
        "attachments": [],
        "usage": message.usage,
        "created_at": _moment(message.created_at),
        "started_at": _moment(message.started_at),
        "finished_at": _moment(message.finished_at),
    }


def message_json_now(message: Message) -> dict[str, Any]:
    """A message with its text as of this moment: where it is being written, the live text and its `seq`."""
    data = message_json(message)
    if message.status == Status.PROCESSING:
        text = live.read(message.id)
        if text is not None and text.attempt == message.attempt and text.seq >= message.seq:
            data |= {"content": text.content, "seq": text.seq, "html": markup.blocks(text.content)}
    return data


def html_blocks(message: Message) -> list[str]:
    stored = message.html
    if stored and stored.get("version") == markup.VERSION:
        return list(stored["blocks"])
    return markup.blocks(message.content)


def rendered(content: str) -> dict[str, Any]:
    """The value of `Message.html` for a text that won't change any more."""
    return {"version": markup.VERSION, "blocks": markup.blocks(content)}


def session_json(session: ChatSession, role: str | None, *, running: bool) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "version": session.version,
        "title": session.title,
        "model": session.model or None,
        "system_prompt": session.system_prompt,
        "parameters": session.parameters,
        "replies": session.replies,
        "when_busy": session.when_busy,
        "role": role,
        "running": running,
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


def _person(user: Any) -> dict[str, Any] | None:
    return None if user is None else {"id": user.pk, "name": display_name(user)}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
