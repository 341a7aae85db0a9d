"""What OpenAI's Responses API takes, and how it words what it doesn't. Pure."""

import re
from collections.abc import Callable
from typing import Any

from .base import Refused

_BODY = {
    "background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "model", "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key",
    "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options",
    "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
}  # fmt: skip
# The fields of each item: those that must be there, those that may be; and how its id begins.
_ITEMS: dict[str, tuple[set[str], set[str], str]] = {
    "message": ({"role", "content"}, {"id", "status", "phase"}, "msg"),
    "function_call": ({"call_id", "name", "arguments"}, {"id", "status"}, "fc"),
    "function_call_output": ({"call_id", "output"}, {"id", "status"}, "fc"),
    "reasoning": ({"summary"}, {"id", "encrypted_content", "content", "status"}, "rs"),
}
_PARTS = {
    "assistant": {"output_text": {"text", "annotations", "logprobs"}, "refusal": {"refusal"}},
    "user": {
        "input_text": {"text"},
        "input_image": {"image_url", "file_id", "detail"},
        "input_file": {"file_data", "file_id", "file_url", "filename"},
    },
}
_ROLES = ("assistant", "system", "developer", "user")
_REASONING = {"effort", "summary", "generate_summary"}
_INCLUDED = {
    "reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url",
    "file_search_call.results", "web_search_call.action.sources", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
}  # fmt: skip
_LONGEST_CALL_ID = 64
_NAME = "^[a-zA-Z0-9_-]+$"


def refused(message: str, param: str | None, code: str | None = None, status: int = 400) -> Refused:
    return Refused(message, status, "invalid_request_error", param=param, code=code)


def check_body(body: dict[str, Any]) -> None:
    """Raises Refused in the real one's words."""
    _only(body, _BODY, "")
    if not body.get("model"):
        raise _missing("model")
    most = body.get("max_output_tokens")
    if most is not None and most < 16:
        raise refused(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got"
            f" {most} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    _only(body.get("reasoning") or {}, _REASONING, "reasoning.")
    for index, name in enumerate(body.get("include") or ()):
        if name not in _INCLUDED:
            raise refused(f"Invalid value: '{name}'.", f"include[{index}]", "invalid_value")
    if not isinstance(body.get("input"), str):
        _check_input(body.get("input"))
    for index, tool in enumerate(body.get("tools") or ()):
        _check_tool(tool, f"tools[{index}]")


def _only(value: dict[str, Any], known: set[str], path: str) -> None:
    for name in value:
        if name not in known:
            raise refused(f"Unknown parameter: '{path}{name}'.", f"{path}{name}", "unknown_parameter")


def _missing(path: str) -> Refused:
    return refused(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


# --- the input ---


def _check_input(items: Any) -> None:
    if not isinstance(items, list):
        raise _missing("input")
    for index, item in enumerate(items):
        _check_item(item, f"input[{index}]")
    _check_pairs(items)
    ids = [item["id"] for item in items if item.get("id")]
    for id_ in ids:
        if ids.count(id_) > 1:
            raise refused(
                f"Duplicate item found with id {id_}. Remove duplicate items from your input and try again.", "input"
            )


def kind_of(item: dict[str, Any]) -> str:
    """A message needs no type."""
    return item.get("type") or ("message" if "role" in item else "")


def _check_item(item: dict[str, Any], path: str) -> None:
    kind = kind_of(item)
    if kind not in _ITEMS:
        raise refused(f"Invalid value: '{kind}'.", f"{path}.type", "invalid_value")
    needed, optional, beginning = _ITEMS[kind]
    for name in sorted(needed - item.keys()):
        raise _missing(f"{path}.{name}")
    _only(item, needed | optional | {"type"}, f"{path}.")
    if (id_ := item.get("id")) is not None and not id_.startswith(beginning):
        raise refused(
            f"Invalid '{path}.id': '{id_}'. Expected an ID that begins with '{beginning}'.",
            f"{path}.id",
            "invalid_value",
        )
    if check := _CHECKS.get(kind):
        check(item, path)


def _check_message(item: dict[str, Any], path: str) -> None:
    if item["role"] not in _ROLES:
        raise refused(
            f"Invalid value: '{item['role']}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
            f"{path}.role",
            "invalid_value",
        )
    known = _PARTS["assistant" if item["role"] == "assistant" else "user"]
    if not isinstance(item["content"], list | str):
        raise refused(f"Invalid type for '{path}.content'.", f"{path}.content", "invalid_type")
    for index, part in enumerate(item["content"] if isinstance(item["content"], list) else ()):
        where = f"{path}.content[{index}]"
        if part.get("type") not in known:
            values = ", ".join(f"'{name}'" for name in known)
            raise refused(
                f"Invalid value: '{part.get('type')}'. Supported values are: {values}.", where, "invalid_value"
            )
        _only(part, known[part["type"]] | {"type"}, f"{where}.")
        url = part.get("image_url", "https:")
        if not isinstance(url, str) or not url.startswith(("https:", "http:", "data:")):
            raise refused(f"Invalid '{where}.image_url'.", f"{where}.image_url", "invalid_value")


def _check_call(item: dict[str, Any], path: str) -> None:
    _check_call_id(item, path)
    _check_name(item["name"], f"{path}.name")
    if not isinstance(item["arguments"], str):
        raise refused(
            f"Invalid type for '{path}.arguments': expected a string, but got an object instead.",
            f"{path}.arguments",
            "invalid_type",
        )


def _check_call_id(item: dict[str, Any], path: str) -> None:
    if len(item["call_id"]) > _LONGEST_CALL_ID:
        raise refused(
            f"Invalid '{path}.call_id': string too long. Expected a string with maximum length {_LONGEST_CALL_ID}, but"
            f" got a string with length {len(item['call_id'])} instead.",
            f"{path}.call_id",
            "string_above_max_length",
        )


def _check_name(name: str, path: str) -> None:
    if not re.fullmatch(_NAME, name):
        raise refused(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{_NAME}'.",
            path,
            "invalid_value",
        )


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "message": _check_message,
    "function_call": _check_call,
    "function_call_output": _check_call_id,
}


def _check_pairs(items: list[Any]) -> None:
    """Calls have their results, results their calls, and what was thought is followed by what came of it."""
    called = [item["call_id"] for item in items if kind_of(item) == "function_call"]
    told = [item["call_id"] for item in items if kind_of(item) == "function_call_output"]
    for id_ in called:
        if id_ not in told:
            raise refused(f"No tool output found for function call {id_}.", "input")
    seen: set[str] = set()
    for place, item in enumerate(items):
        if kind_of(item) == "function_call":
            seen.add(item["call_id"])
        elif kind_of(item) == "function_call_output" and item["call_id"] not in seen:
            raise refused(f"No tool call found for function call output with call_id {item['call_id']}.", "input")
        elif kind_of(item) == "reasoning":
            after = items[place + 1] if place + 1 < len(items) else {}
            if kind_of(after) not in ("reasoning", "function_call") and after.get("role") != "assistant":
                raise refused(
                    f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item.",
                    "input",
                )


# --- tools ---


def _check_tool(tool: dict[str, Any], path: str) -> None:
    if tool.get("type") != "function":  # one that runs at OpenAI's
        return
    if "name" not in tool:
        raise _missing(f"{path}.name")
    _only(tool, {"type", "name", "description", "parameters", "strict"}, f"{path}.")
    _check_name(tool["name"], f"{path}.name")
    schema = tool.get("parameters") or {"type": "object"}
    if schema.get("type") != "object":
        raise refused(
            f"Invalid schema for function '{tool['name']}': schema must be a JSON Schema of 'type: \"object\"', got"
            f" 'type: \"{schema.get('type')}\"'.",
            f"{path}.parameters",
            "invalid_function_parameters",
        )
    if tool.get("strict") and schema.get("additionalProperties") is not False:
        raise refused(
            f"Invalid schema for function '{tool['name']}': In context=(), 'additionalProperties' is required to be"
            " supplied and to be false.",
            f"{path}.parameters",
            "invalid_function_parameters",
        )
