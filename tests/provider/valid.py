"""What a provider takes: the rules of the strictest templates for OpenAI's chat format."""

from typing import Any

from tests.strict import strict_template


def check_request(body: dict[str, Any]) -> None:
    """Raises AssertionError for a request that a provider would refuse."""
    strict_template(body["messages"])
    called = any(line.get("tool_calls") for line in body["messages"])
    assert body.get("tools") or not called, "calls in a request that declares no tool"
