"""Calls of tools and their results, as every server takes them: in pairs, in order, under ids that it allows. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from assistant.llm.kept import is_of
from assistant.text.blank import is_blank

ChatMessage = dict[str, Any]

EMPTY_RESULT = "(The result is empty.)"

# OpenAI's takes 40 characters, Anthropic's these letters only.
_TAKEN_BY_MOST = re.compile(r"[A-Za-z0-9_-]{1,40}")
_OF_ITS_OWN = re.compile(r".{1,40}", re.DOTALL)  # Kimi's are `functions.name:0`
_ANY = re.compile(r".+", re.DOTALL)
# Mistral's, and servers that use its tokenizer: "must be a-z, A-Z, 0-9, with a length of 9".
_TAKEN_BY_MISTRAL = re.compile(r"[A-Za-z0-9]{9}")
_OF_MISTRAL = re.compile(r"(mistral|mixtral|ministral|magistral|devstral|pixtral|codestral|voxtral|mathstral)")


def whole_pairs(lines: Sequence[ChatMessage]) -> list[ChatMessage]:
    """`lines`, each call followed by exactly its one result, in the calls' order. Half pairs are left out."""
    paired: list[ChatMessage] = []
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if line["role"] == "tool":
            continue  # its call is not before it
        if not line.get("tool_calls"):
            paired.append(_without_calls(line))
            continue
        end = next((n for n in range(at, len(lines)) if lines[n]["role"] != "tool"), len(lines))
        paired += _round(line, lines[at:end])
        at = end
    return paired


def _round(line: ChatMessage, results: Sequence[ChatMessage]) -> list[ChatMessage]:
    waiting: dict[str, list[ChatMessage]] = {}
    for result in results:
        waiting.setdefault(result.get("tool_call_id") or "", []).append(result)
    calls, answered = [], []
    for call in line["tool_calls"]:
        if found := waiting.get(call.get("id") or ""):
            calls.append(call)
            answered.append(_told(found.pop(0)))
    return [line | {"tool_calls": calls}, *answered] if calls else [_without_calls(line)]


def _without_calls(line: ChatMessage) -> ChatMessage:
    """What a provider wants back, it wants back with the calls: without them it goes too."""
    return {name: value for name, value in line.items() if name not in ("tool_calls", "provider_state")}


def _told(result: ChatMessage) -> ChatMessage:
    content = result.get("content")
    is_empty = is_blank(content) if isinstance(content, str) else not content
    return result | {"content": EMPTY_RESULT} if is_empty else result


def with_ids(model: str, lines: Sequence[ChatMessage]) -> list[ChatMessage]:
    """`lines`, as `whole_pairs` makes them, with ids that `model` takes, each of them once.

    One that it takes stays, and so does its own where its provider has signed the round or refers to it. Any other is
    replaced by one that follows from it, the same in each prompt, so that what a provider has cached of it stays true.
    """
    is_mistral = _OF_MISTRAL.search(model.lower()) is not None  # some of its servers refuse what they gave themselves
    used: set[str] = set()
    told: list[ChatMessage] = []
    waiting: list[str] = []  # the ids of the results that follow
    for line in lines:
        if line["role"] == "tool":
            told.append(line | {"tool_call_id": waiting.pop(0)})
            continue
        allowed = _TAKEN_BY_MISTRAL if is_mistral else _taken(line, model)
        new: list[str] = []
        for call in line.get("tool_calls", ()):
            id_ = call.get("id") or ""
            is_kept = id_ not in used and allowed.fullmatch(id_)
            new.append(id_ if is_kept else _mended(id_, used, is_mistral=is_mistral))
            used.add(new[-1])
        waiting += new
        told.append(_renamed(line, new) if new else line)
    return told


def _taken(line: ChatMessage, model: str) -> re.Pattern[str]:
    if not is_of(line, model):
        return _TAKEN_BY_MOST
    state = line["provider_state"]
    return _ANY if state.get("message") or state.get("calls") else _OF_ITS_OWN


def _renamed(line: ChatMessage, ids: Sequence[str]) -> ChatMessage:
    pairs = list(zip(ids, line["tool_calls"], strict=True))
    renamed = line | {"tool_calls": [call | {"id": id_} for id_, call in pairs]}
    if state := line.get("provider_state"):
        extras = state.get("calls") or {}
        found = {id_: extras[call["id"]] for id_, call in pairs if call.get("id") in extras}
        renamed["provider_state"] = {**state, "calls": found}
    return renamed


def _mended(id_: str, used: set[str], *, is_mistral: bool) -> str:
    tries = 0
    while True:
        digest = hashlib.sha256(f"{tries}:{id_}".encode("utf-8", "surrogatepass")).hexdigest()
        mended = digest[:9] if is_mistral else f"call_{digest[:24]}"
        if mended not in used:
            return mended
        tries += 1
