"""What a client holds of a session, by the rules of docs/events.md and nothing more: js/state/reducer.js in short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPEN = ("pending", "processing")


def thoughts(message: dict[str, Any]) -> int:
    """How many deltas of its reasoning a message holds. (Readers by a link are told nothing of it.)"""
    return int(message["reasoning"]["seq"]) if message.get("reasoning") else 0


class ClientState:
    """Apply each frame as it comes. `is_stale` says that something was missed and a `sync` is due."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.messages: dict[str, dict[str, Any]] = {}
        self.apply({"type": "session.snapshot", **snapshot})

    def apply(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "session.snapshot":
                self.session = dict(frame["session"])
                self.is_stale = False
                held, self.messages = self.messages, {}
                for message in frame["messages"]:
                    self._take(message, held.get(message["id"]))
            case "message.created" | "message.updated":
                self._take(frame["message"], self.messages.get(frame["message"]["id"]))
            case "message.delta":
                self._delta(frame)
            case "message.reasoning_delta":
                self._reasoning_delta(frame)
            case "message.reset":
                self._reset(frame)
            case "message.tool_calls":
                self._calls(frame)
            case "session.updated":
                version = frame["session"].get("version", 0)
                if version >= self.session.get("version", 0):
                    self.session |= frame["session"] | {"role": self.session["role"]}

    def _take(self, incoming: dict[str, Any], held: dict[str, Any] | None) -> None:
        if held is not None and incoming["version"] < held["version"]:
            incoming = held
        elif held is not None:
            known = held.get("calls_version", 0)
            if known > incoming["version"]:  # the calls come apart from the message
                incoming = incoming | {"tool_calls": held["tool_calls"], "calls_version": known}
            if incoming["status"] in OPEN and incoming["attempt"] < held["attempt"]:
                incoming = held
            elif incoming["status"] in OPEN and (incoming["attempt"], incoming["seq"]) < (
                held["attempt"],
                held["seq"],
            ):
                incoming = incoming | {name: held[name] for name in ("seq", "content", "html")}
            is_same = incoming["status"] in OPEN and incoming["attempt"] == held["attempt"]
            if is_same and thoughts(incoming) < thoughts(held):
                incoming = incoming | {"reasoning": held["reasoning"]}
        self.messages[incoming["id"]] = dict(incoming)

    def _growing(self, frame: dict[str, Any], seq: Callable[[dict[str, Any]], int]) -> dict[str, Any] | None:
        """The message whose next delta this is; None: it is old, or something before it is missing."""
        held = self.messages.get(frame["message_id"])
        if held is None:
            self.is_stale = True
            return None
        if held["status"] not in OPEN or frame["attempt"] < held["attempt"]:
            return None
        if frame["attempt"] == held["attempt"] and frame["seq"] <= seq(held):
            return None
        if frame["attempt"] != held["attempt"] or frame["seq"] != seq(held) + 1:
            self.is_stale = True
            return None
        return held

    def _reasoning_delta(self, frame: dict[str, Any]) -> None:
        if held := self._growing(frame, thoughts):
            before = held["reasoning"] or {"content": "", "tokens": None}
            told = {"content": before["content"] + frame["text"], "seconds": frame["seconds"], "seq": frame["seq"]}
            held["reasoning"] = before | told

    def _delta(self, frame: dict[str, Any]) -> None:
        held = self._growing(frame, lambda message: int(message["seq"]))
        if held is None:
            return
        html = held["html"][: frame["blocks"]["from"]] + frame["blocks"]["html"]
        held |= {"seq": frame["seq"], "content": held["content"] + frame["text"], "html": html}

    def _reset(self, frame: dict[str, Any]) -> None:
        held = self.messages.get(frame["message_id"])
        if held is None:
            self.is_stale = True
        elif held["status"] in OPEN and (frame["attempt"], 0) >= (held["attempt"], held["seq"] + thoughts(held)):
            held |= {
                name: frame[name] for name in ("attempt", "seq", "content", "html", "reasoning") if name in frame
            }

    def _calls(self, frame: dict[str, Any]) -> None:
        held = self.messages.get(frame["message_id"])
        if held is None:
            self.is_stale = True
        elif frame["version"] >= held.get("calls_version", held["version"]):
            held |= {"tool_calls": frame["tool_calls"], "calls_version": frame["version"]}

    @property
    def shown(self) -> dict[str, Any]:
        """What two clients that have heard the same must agree on. (A checkpoint stores a version and tells nobody.)"""
        in_order = sorted(self.messages.values(), key=lambda message: (message["position"], message["id"]))
        return {
            "session": {name: value for name, value in self.session.items() if name != "role"},
            "messages": [
                {name: value for name, value in message.items() if name not in ("version", "calls_version")}
                for message in in_order
            ],
        }
