"""What a provider takes: the rules of the strictest templates for OpenAI's chat format."""

from typing import Any

from tests.strict import THINKING_FIELDS, strict_template


def check_request(body: dict[str, Any]) -> None:
    """Raises AssertionError for a request that a provider would refuse. Its own thoughts it takes back with calls."""
    strict_template([_without_thoughts(line) if line.get("tool_calls") else line for line in body["messages"]])
    called = any(line.get("tool_calls") for line in body["messages"])
    assert body.get("tools") or not called, "calls in a request that declares no tool"


def _without_thoughts(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in THINKING_FIELDS}
