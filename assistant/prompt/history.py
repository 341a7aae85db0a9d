"""An answer that was written in rounds, as the model is told of it again. Pure.

Whatever the rows hold, what comes out is what a provider accepts: each call stands in an assistant's message and is
followed at once by its one result; ids are unique, names well-formed, arguments are JSON objects. A round is told whole or
not at all, so half a pair can't be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from assistant.llm.pairing import EMPTY_RESULT
from assistant.models.provider_state import ProviderState
from assistant.models.tool_call import CallStatus, ToolCall
from assistant.text.arguments import arguments_of
from assistant.text.blank import is_blank

ChatMessage = dict[str, Any]
Part = dict[str, Any]  # of a message's content, in OpenAI's form

NO_RESULT = "There is no result of this call. It is not known whether it took effect."
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def lines_of_rounds(
    content: str,
    calls: Sequence[ToolCall],
    joined: Mapping[int, Sequence[ChatMessage]],
    used_ids: set[str],
    longest_result: int | None = None,
    found: Mapping[Any, Sequence[Part]] | None = None,
    states: Iterable[ProviderState] = (),
) -> list[ChatMessage]:
    """The messages that an answer with the text `content` and these calls (in order) is told as.

    `joined`: by round, what people said that the answer took along after it. `used_ids` are the ids of calls in the same
    prompt; those given here are added. Of a result longer than `longest_result` characters the middle is left out. The
    text after the last round comes last, if it isn't blank. `found`: by the call's id, parts that show what images it has
    found. Results are texts with most providers, so images follow behind those of their round, as what a user says.
    `states`: what models want back with their rounds; the line of such a round has it as `provider_state`, see
    `assistant.llm.kept`.
    """
    kept = {state.round: state for state in states}
    lines: list[ChatMessage] = []
    start = 0
    for number, group in groupby(calls, key=lambda call: call.round):
        of_round = list(group)
        end = max(start, of_round[0].at)
        lines += _round(content[start:end].strip(), of_round, used_ids, longest_result, found or {}, kept.get(number))
        lines += joined.get(number, ())
        start = end
    if not is_blank(rest := content[start:].strip()):
        lines.append({"role": "assistant", "content": rest})
    return lines


def _round(
    text: str,
    calls: Sequence[ToolCall],
    used_ids: set[str],
    longest_result: int | None,
    found: Mapping[Any, Sequence[Part]],
    state: ProviderState | None,
) -> list[ChatMessage]:
    ids = [_id_of(call, used_ids) for call in calls]
    asked = [
        {
            "id": id_,
            "type": "function",
            "function": {"name": _name_of(call), "arguments": _arguments_of(call)},
        }
        for id_, call in zip(ids, calls, strict=True)
    ]
    answered, shown = [], []
    for id_, call in zip(ids, calls, strict=True):
        result, parts = shortened(call.result or _nothing(call), longest_result), found.get(call.pk, ())
        if any(part["type"] != "text" for part in parts):
            shown += [{"type": "text", "text": f"[What the tool {_name_of(call)} has found to look at:]"}, *parts]
        else:  # none of them can be looked at
            result = "\n".join([result, *(part["text"] for part in parts)])
        answered.append({"role": "tool", "tool_call_id": id_, "content": result})
    images = [{"role": "user", "content": shown}] if shown else []
    line: ChatMessage = {"role": "assistant", "content": None if is_blank(text) else text, "tool_calls": asked}
    return [line | ({"provider_state": state.told(ids)} if state else {}), *answered, *images]


def _nothing(call: ToolCall) -> str:
    return EMPTY_RESULT if call.status == CallStatus.SUCCESS else NO_RESULT


def shortened(text: str, longest: int | None) -> str:
    """`text` without its middle, if it has more than `longest` characters."""
    if longest is None or len(text) <= longest:
        return text
    half = longest // 2
    end = text[len(text) - half :]
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters are left out here …]\n{end}"


def _id_of(call: ToolCall, used: set[str]) -> str:
    """The provider's own id, for some keep in it what they thought; one of ours where it is missing or not unique."""
    id_ = call.call_id if call.call_id and call.call_id not in used else f"call_{call.pk.hex}"
    used.add(id_)
    return id_


def _name_of(call: ToolCall) -> str:
    """As providers take it; Gemini's wants no digit at the beginning."""
    name = _NOT_IN_A_NAME.sub("_", call.name)[:64] or "unknown"
    return name if name[0].isalpha() or name[0] == "_" else f"_{name[:63]}"


def _arguments_of(call: ToolCall) -> str:
    """As the model wrote them, if that is a JSON object: some providers read it, and refuse a history in which it isn't."""
    return call.arguments if arguments_of(call.arguments) is not None and call.arguments.strip() else "{}"


def tools_called(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Declarations of the tools that are called in `messages`, by their names alone.

    For a request that offers none: some providers (Anthropic's, Bedrock's) refuse calls where no tool is declared.
    """
    names = dict.fromkeys(call["function"]["name"] for line in messages for call in line.get("tool_calls", ()))
    schema = {"type": "object", "properties": {}}
    return [
        {
            "type": "function",
            "function": {"name": name, "description": "Not available any more.", "parameters": schema},
        }
        for name in names
    ]
