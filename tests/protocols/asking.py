"""How the tests of the fakes ask them: with plain requests written from the providers' documentation, and through
litellm, as an independent client."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from assistant.llm.library import library

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TWO_PLACES = "tool=weather:city:Paris-tool=weather:city:Oslo"


@dataclass
class Heard:
    """An answer as litellm reads it."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)  # name and arguments
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)  # as litellm puts it together, for the next request


async def heard(model: str, messages: list[dict[str, Any]] | str, **parameters: Any) -> Heard:
    """What litellm makes of the answer's stream. Raises its exceptions."""
    litellm = library()
    asked = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    response = await litellm.acompletion(
        model=model,
        messages=asked,
        stream=True,
        stream_options={"include_usage": True},
        max_retries=0,
        timeout=20,
        drop_params=True,
        **({"_skip_mcp_handler": True} if "tools" in parameters else {}),
        **parameters,
    )
    found, chunks, calls = Heard(), [], list[dict[str, Any]]()
    try:
        async for chunk in response:
            chunks.append(chunk)
            for choice in chunk.choices[:1]:
                found.text += choice.delta.content or ""
                found.reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                _add(calls, choice.delta.tool_calls or ())
                found.finish = choice.finish_reason or found.finish
            if usage := getattr(chunk, "usage", None):
                found.usage = usage.model_dump()
    finally:
        await response.aclose()
    found.message = litellm.stream_chunk_builder(chunks, messages=asked).choices[0].message.model_dump()
    if calls:
        found.message["tool_calls"] = calls
    found.calls = [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    return found


def _add(calls: list[dict[str, Any]], parts: Any) -> None:
    """One fragment after the other. litellm's own builder joins two calls of Ollama's, which have the same index."""
    for part in parts:
        if part.id and all(call["id"] != part.id for call in calls):
            function = {"name": part.function.name, "arguments": part.function.arguments or ""}
            calls.append({"id": part.id, "type": "function", "function": function})
            if fields := getattr(part, "provider_specific_fields", None):
                calls[-1]["provider_specific_fields"] = fields
        else:
            calls[part.index or 0]["function"]["arguments"] += part.function.arguments or ""


def with_results(messages: list[dict[str, Any]], answer: Heard, **changed: Any) -> list[dict[str, Any]]:
    """The next request of a round of calls: the answer's message as litellm has it, and a result for each call."""
    message = {name: value for name, value in (answer.message | changed).items() if value is not None}
    message["content"] = message.get("content") or None
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"sunny in {call['function']['arguments']}"}
        for call in message.get("tool_calls", ())
    ]
    return [*messages, message, *results]


def plain_client(timeout: float = 20) -> httpx.Client:
    """For this machine only: without certificates, whose reading takes longer than a test."""
    return httpx.Client(timeout=timeout, trust_env=False, verify=False)


def post(url: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    """A plain request, its answer read whole."""
    with plain_client() as client:
        return client.post(url, json=body, headers=headers)


def events_of(response: httpx.Response) -> list[Any]:
    """The data of the server-sent events."""
    assert response.status_code == 200, response.text
    text = response.text.replace("\r\n", "\n")
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
