"""What a model thought before it called a tool, and how its provider wants it back. Pure.

An assistant's line may carry `provider_state`: {"model": id, "message": {...}, "calls": {call id: {...}}}, what the model
of that id wants back unchanged with its calls. It goes to exactly that model: others refuse fields that they don't know,
and signatures that aren't theirs. Where a provider insists on something, and the round is another model's, it is given
what its documentation names, or its users found it to take instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

ChatMessage = dict[str, Any]

_ASKS_FOR_IT = frozenset({"thinking", "reasoning_effort", "reasoning"})  # parameters
_IS_THOUGHT = frozenset({"thinking_blocks", "reasoning_content", "reasoning_details"})
_NEVER_REPLACED = frozenset({"role", "content", "tool_calls", "id", "type"})

# "The least that the API accepts" where a round has no thoughts of this model: an empty string counts as missing.
NO_THOUGHTS = " "
# Google's word for calls that another model has made.
UNSIGNED = "skip_thought_signature_validator"
_SIGNING_GEMINI = re.compile(r"gemini-(?:[3-9]|\d\d|(?:pro|flash)[a-z-]*-latest)")


def is_of(line: ChatMessage, model: str) -> bool:
    """Whether the calls in `line` are `model`'s own, as far as anybody knows."""
    return (line.get("provider_state") or {}).get("model") == model


def may_think(model: str, messages: Sequence[ChatMessage]) -> bool:
    """Whether `model` may be asked to think. Anthropic's API refuses it in the middle of a turn that began without.

    "Expected `thinking` or `redacted_thinking`, but found `tool_use`": all rounds of the loop that runs have to be this
    model's own, unchanged. They aren't where another model took over in mid turn, or took this one's place for a while.
    """
    if "claude" not in model.lower():
        return True
    return all(is_of(line, model) for line in messages[_loop(messages) :] if line.get("tool_calls"))


def without_thinking(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` without those that ask a model to think."""
    return {name: value for name, value in parameters.items() if name not in _ASKS_FOR_IT}


def _loop(messages: Sequence[ChatMessage]) -> int:
    """Where the loop of tools begins that runs now: behind the last thing that people said."""
    return max((n + 1 for n, line in enumerate(messages) if line["role"] == "user"), default=0)


def with_thoughts(model: str, lines: Sequence[ChatMessage]) -> list[ChatMessage]:
    """`lines`, each call with what the provider of `model` wants back with it, and no `provider_state` any more."""
    silent_from = len(lines) if may_think(model, lines) else _loop(lines)
    stand_in = _stand_in(model, lines)
    told = []
    for number, line in enumerate(lines):
        own = is_of(line, model) and bool(line.get("tool_calls"))
        plain = {name: value for name, value in line.items() if name != "provider_state"}
        if own:
            plain = _own(plain, line["provider_state"], may_think=number < silent_from)
        told.append(stand_in.given(plain, is_own=own))
    return told


def _own(line: ChatMessage, state: Mapping[str, Any], *, may_think: bool) -> ChatMessage:
    extras: Mapping[str, Any] = state.get("calls") or {}
    kept = {
        name: value
        for name, value in (state.get("message") or {}).items()
        if name not in _NEVER_REPLACED and (may_think or name not in _IS_THOUGHT)
    }
    return (
        line | {"tool_calls": [_with_extra(call, extras.get(call["id"]) or {}) for call in line["tool_calls"]]} | kept
    )


def _with_extra(call: ChatMessage, extra: Mapping[str, Any]) -> ChatMessage:
    function = {**(extra.get("function") or {}), **call["function"]}  # its name and arguments are the call's own
    return {
        **call,
        **{name: value for name, value in extra.items() if name not in _NEVER_REPLACED},
        "function": function,
    }


# --- in the place of thoughts that there are none of ---


class _StandIn:
    """For a provider that insists on nothing."""

    def given(self, line: ChatMessage, *, is_own: bool) -> ChatMessage:
        return line


class _Reasoning(_StandIn):
    """DeepSeek's and Moonshot's APIs refuse calls without `reasoning_content`.

    DeepSeek's does so for each line of the assistant's, as soon as a request offers tools.
    """

    def __init__(self, *, with_calls_only: bool) -> None:
        self._with_calls_only = with_calls_only

    def given(self, line: ChatMessage, *, is_own: bool) -> ChatMessage:
        wants = line["role"] == "assistant" and (line.get("tool_calls") or not self._with_calls_only)
        return line | {"reasoning_content": line.get("reasoning_content") or NO_THOUGHTS} if wants else line


class _Signature(_StandIn):
    """Gemini 3 and later by OpenAI's protocol: the first call of a round has to be signed. (litellm signs for Google's.)"""

    def __init__(self, *, is_openrouter: bool) -> None:
        self._is_openrouter = is_openrouter

    def given(self, line: ChatMessage, *, is_own: bool) -> ChatMessage:
        if is_own or not line.get("tool_calls"):
            return line
        first, *rest = line["tool_calls"]
        if self._is_openrouter:
            signed = {"type": "reasoning.encrypted", "data": UNSIGNED, "format": "google-gemini-v1", "index": 0}
            return line | {"reasoning_details": [signed | {"id": first["id"]}]}
        return line | {"tool_calls": [first | {"extra_content": {"google": {"thought_signature": UNSIGNED}}}, *rest]}


def _stand_in(model: str, lines: Sequence[ChatMessage]) -> _StandIn:
    name = model.lower()
    provider = name.partition("/")[0]
    # By OpenAI's protocol these models are served by many: whose server has sent reasoning takes it back.
    is_told = any(
        "reasoning_content" in (line["provider_state"].get("message") or {}) for line in lines if is_of(line, model)
    )
    if provider == "deepseek" or ("deepseek" in name and is_told):
        return _Reasoning(with_calls_only=False)
    if provider == "moonshot" or (("kimi" in name or "moonshot" in name) and is_told):
        return _Reasoning(with_calls_only=True)
    if provider in ("openai", "openrouter") and _SIGNING_GEMINI.search(name):
        return _Signature(is_openrouter=provider == "openrouter")
    return _StandIn()
