"""What a provider takes: the rules of OpenAI's chat format about calls of tools and their results."""

import json
import re
from typing import Any


def check_request(body: dict[str, Any]) -> None:
    """Raises AssertionError for a request that a provider would refuse."""
    waiting: list[str] = []
    seen: set[str] = set()
    for line in body["messages"]:
        role = line["role"]
        if role == "tool":
            assert waiting and line["tool_call_id"] == waiting.pop(0), "a result without its call, or out of order"
            assert isinstance(line["content"], str) and line["content"]
            continue
        assert not waiting, f"calls without results: {waiting}"
        if asked := line.get("tool_calls"):
            assert role == "assistant"
            for call in asked:
                assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"])
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
                assert call["id"] and call["id"] not in seen, "the same id twice"
                seen.add(call["id"])
                waiting.append(call["id"])
        else:
            assert line["content"], "an empty message"
    assert not waiting, f"calls without results: {waiting}"
    assert body["messages"][-1]["role"] != "assistant"
    assert body.get("tools") or not seen, "calls in a request that declares no tool"
