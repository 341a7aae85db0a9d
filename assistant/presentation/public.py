"""What of a session is shown to those who read along by its link: what was said, by whom, and nothing else.

Everything is named here that passes; what is not named does not, so that what is added elsewhere stays inside until
somebody decides otherwise. People have their names, without what would make an e-mail address of it; who merely reads,
who is here, who types, what waits, what the model thought, what tools were given and found, prices, settings and prompts
are nobody's business.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import orjson

from assistant import addresses, catalogue
from assistant.models.participant import hue

READER = "reader"

_SESSION = {"id", "version", "title", "model", "role", "running", "created_at", "updated_at"}
_MESSAGE = {
    "id", "session", "position", "role", "author", "content", "html", "status", "version", "attempt", "seq", "alive",
    "reply_to", "superseded_by", "taken_by", "taken_round", "model", "cut", "error", "stopped_by", "tool_calls",
    "attachments", "sources", "created_at", "started_at", "finished_at",
}  # fmt: skip
_CALL = {"id", "round", "at", "block", "name", "title", "doing", "status", "started_at", "finished_at"}
_ATTACHMENT = {"id", "name", "type", "size", "width", "height", "problem"}

# Frames about what is public in itself. They are passed as they are, by far the most of them.
_AS_THEY_ARE = '{"type":"message.delta"'
_NOBODYS_BUSINESS = '{"type":"message.reasoning_delta"'  # as many: not worth a look inside
_RESET = ("message_id", "attempt", "seq", "content", "html")


def session(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name in _SESSION}


def messages(all_of_them: list[dict[str, Any]], token: str) -> list[dict[str, Any]]:
    return [shown for data in all_of_them if (shown := message(data, token)) is not None]


def message(data: dict[str, Any], token: str) -> dict[str, Any] | None:
    """A message as `wire.message_json` makes it, for readers; None for one that waits or was withdrawn."""
    if data["role"] == "user" and data["status"] != "success":
        return None
    shown = {name: value for name, value in data.items() if name in _MESSAGE}
    # Readers have no list of models to look the name up in.
    shown["model_label"] = catalogue.label(data["model"]) if data["model"] else None
    shown["author"], shown["stopped_by"] = _person(data["author"]), _person(data["stopped_by"])
    shown["tool_calls"] = _calls(data["tool_calls"])
    shown["attachments"] = [_attachment(attachment, token) for attachment in data["attachments"]]
    return shown


def authors(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who speaks in these messages, with a colour each."""
    people = {m["author"]["id"]: m["author"] for m in shown if m["author"]}
    return [person | {"color": hue(user_id)} for user_id, person in people.items()]


@functools.lru_cache(maxsize=16)  # a frame is relayed to many readers, one after the other
def frame(text: str, token: str) -> str | None:
    """A frame for the session's people as readers by this link get it, or None if it is none of theirs."""
    if text.startswith(_AS_THEY_ARE):
        return text
    if text.startswith(_NOBODYS_BUSINESS):
        return None
    data = json.loads(text)
    match data["type"]:
        case "message.created" | "message.updated":
            shown = message(data["message"], token)
            return None if shown is None else _encode(data["type"], message=shown)
        case "message.reset":
            return _encode(data["type"], **{name: data[name] for name in _RESET})
        case "message.tool_calls":
            calls = _calls(data["tool_calls"])
            return _encode(data["type"], message_id=data["message_id"], version=data["version"], tool_calls=calls)
        case "session.updated":
            return _encode(data["type"], session=session(data["session"]))
    return None


def _encode(type_: str, **fields: Any) -> str:
    return orjson.dumps({"type": type_, **fields}).decode()


def _person(person: dict[str, Any] | None) -> dict[str, Any] | None:
    if person is None:
        return None
    return {"id": person["id"], "name": person["name"].partition("@")[0] or "Someone"}


def _calls(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """That a tool was used, without what it was given and what it found: it may have looked into private things."""
    kept = [{name: value for name, value in call.items() if name in _CALL} for call in calls]
    hidden: dict[str, Any] = {"arguments": "", "approval": None, "decided_by": None, "summary": "", "result": ""}
    hidden["images"] = []
    return [call | hidden for call in kept]


def _attachment(attachment: dict[str, Any], token: str) -> dict[str, Any]:
    kept = {name: value for name, value in attachment.items() if name in _ATTACHMENT}
    return kept | {"url": addresses.api(f"shared/{token}/attachments/{attachment['id']}/file")}
