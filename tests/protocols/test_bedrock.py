"""The fake of Bedrock's Converse API: others understand it, and it refuses what the real one refuses."""

import json
from typing import Any

import httpx
import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, heard, post, with_results

ASKED = {"role": "user", "content": [{"text": "Well?"}]}
CALL = {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "sunny"}]}}
TOOL = {"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}
TOOLS: Any = {"toolConfig": {"tools": [TOOL]}}
THINKING: Any = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}


def ask(
    protocols: ProtocolsProcess, model: str = "words-n3", *messages: Any, stream: bool = False, **body: Any
) -> httpx.Response:
    url = f"{protocols.root}/bedrock/model/{model}/converse{'-stream' if stream else ''}"
    return post(url, {"messages": list(messages) or [ASKED]} | body, {"Authorization": "Bearer sk"})


def error_of(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    assert response.headers["x-amzn-ErrorType"] == "ValidationException"
    return response.json()["message"]


def events_of(response: httpx.Response) -> list[tuple[str, Any]]:
    """As AWS's own library decodes them."""
    assert response.headers["content-type"] == "application/vnd.amazon.eventstream"
    buffer = EventStreamBuffer()
    buffer.add_data(response.content)
    found = [event.to_response_dict() for event in buffer]
    kinds = [event["headers"].get(":event-type") or event["headers"][":exception-type"] for event in found]
    return [(kind, json.loads(event["body"])) for kind, event in zip(kinds, found, strict=True)]


def assistant(*blocks: Any) -> Any:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: Any) -> Any:
    return {"role": "user", "content": list(blocks)}


def test_litellm_reads_text_thinking_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("bedrock/converse/words-n4-think=3-usage=100,9-cached=40,20", "Well?"))
    assert (answer.text, answer.reasoning, answer.finish) == ("w0 w1 w2 w3", "r0 r1 r2", "stop")
    assert (answer.usage["prompt_tokens"], answer.usage["completion_tokens"]) == (100, 9)
    assert answer.usage["prompt_tokens_details"]["cached_tokens"] == 40
    assert protocols.last()["protocol"] == "bedrock" and protocols.problems() == []


def test_a_round_of_calls_goes_on_with_its_thinking(protocols: ProtocolsProcess, loop: Any) -> None:
    name = "anthropic.claude-sonnet-4-5-20250929-v1:0"  # of others litellm believes that they know no tools
    model, asked = f"bedrock/converse/{name}~results-think=2-{TWO_PLACES}", [{"role": "user", "content": "Well?"}]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.problems() == []


@pytest.mark.parametrize("word", ["", "-hidden"])
def test_thinking_comes_back_unchanged(protocols: ProtocolsProcess, word: str) -> None:
    model = f"words-n2-think=2-tool=weather{word}"
    thought, call = ask(protocols, model, **TOOLS).json()["output"]["message"]["content"]
    result = user({"toolResult": RESULT["toolResult"] | {"toolUseId": call["toolUse"]["toolUseId"]}})
    assert ask(protocols, model, ASKED, assistant(thought, call), result, **TOOLS).status_code == 200
    missing = error_of(ask(protocols, model, ASKED, assistant(call), result, **TOOLS))
    assert missing.startswith(
        "The model returned the following errors: messages.1.content.0.type: Expected `thinking`"
    )
    twice = ask(protocols, model, ASKED, assistant(thought, thought, call), result, **TOOLS)
    assert "cannot be modified" in error_of(twice)
    foreign = {"reasoningContent": {"reasoningText": {"text": "mine", "signature": "foreign"}}}
    assert "Invalid `signature`" in error_of(ask(protocols, model, ASKED, assistant(foreign, call), result, **TOOLS))


def test_anthropics_own_signatures_are_good_here(protocols: ProtocolsProcess) -> None:
    body = {"model": "words-think=2", "max_tokens": 9, "messages": [{"role": "user", "content": "Well?"}]}
    headers = {"x-api-key": "sk", "anthropic-version": "2023-06-01"}
    thought, _ = post(f"{protocols.root}/anthropic/v1/messages", body, headers).json()["content"]
    block = {"reasoningContent": {"reasoningText": {"text": thought["thinking"], "signature": thought["signature"]}}}
    assert ask(protocols, "words", ASKED, assistant(block, {"text": "So."}), ASKED).status_code == 200


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([assistant({"text": "So"})], "A conversation must start with a user message."),
        ([ASKED, ASKED], "A conversation must alternate between user and assistant roles."),
        ([user()], "The content field in the Message object at messages.0 is empty."),
        ([user({"text": " "})], "The text field in the ContentBlock object at messages.0.content.0 is blank."),
        ([user({"text": "?", "foo": 1})], "extraneous key [foo] is not permitted"),
        (
            [ASKED, assistant(CALL), ASKED],
            "Expected toolResult blocks at messages.2.content for the following Ids: tool",
        ),
        ([ASKED, assistant(CALL), user(RESULT, RESULT)], "exceeds the number of toolUse blocks of previous turn."),
        ([user(RESULT)], "exceeds the number of toolUse blocks of previous turn."),
        (
            [ASKED, assistant({"toolUse": CALL["toolUse"] | {"toolUseId": "a.b"}})],
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
        ),
        ([user({"image": {"format": "bmp", "source": {"bytes": "aaaa"}}})], "Member must satisfy enum value set"),
    ],
)
def test_messages_that_break_a_rule_are_refused(protocols: ProtocolsProcess, messages: list[Any], said: str) -> None:
    assert said in error_of(ask(protocols, "words", *messages, **TOOLS))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"max_tokens": 9}, "extraneous key [max_tokens] is not permitted"),
        ({"toolConfig": {"tools": []}}, "Member must have length greater than or equal to 1"),
        ({"toolConfig": {"tools": [{"toolSpec": TOOL["toolSpec"] | {"name": "a.b"}}]}}, "toolConfig.tools.1.member"),
        ({"system": [{"text": ""}]}, "The text field in the ContentBlock object at system.0 is blank."),
        (THINKING | {"inferenceConfig": {"maxTokens": 1024}}, "`max_tokens` must be greater than"),
        (THINKING | {"inferenceConfig": {"temperature": 0.5}}, "`temperature` may only be set to 1"),
    ],
)
def test_fields_that_break_a_rule_are_refused(protocols: ProtocolsProcess, body: Any, said: str) -> None:
    assert said in error_of(ask(protocols, "words", **body))


def test_a_history_with_calls_needs_the_tools(protocols: ProtocolsProcess) -> None:
    said = error_of(ask(protocols, "words", ASKED, assistant(CALL), user(RESULT)))
    assert said == "The toolConfig field must be defined when using toolUse and toolResult content blocks."


def test_the_events_come_in_the_documented_order(protocols: ProtocolsProcess) -> None:
    events = events_of(ask(protocols, "n1-think=1-preamble=1-cite=1-tool=weather", stream=True, **TOOLS))
    assert [next(iter(value.get("delta", {})), kind) for kind, value in events] == [
        "messageStart",
        "reasoningContent", "reasoningContent", "contentBlockStop",
        "text", "citation", "contentBlockStop",
        "contentBlockStart", "toolUse", "contentBlockStop",
        "messageStop", "metadata",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "end_turn"), ("length", "max_tokens"), ("refusal", "content_filtered"),
        ("content_filter", "guardrail_intervened"), ("window", "model_context_window_exceeded"),
    ],
)  # fmt: skip
def test_it_says_why_it_ends(protocols: ProtocolsProcess, word: str, reason: str) -> None:
    *_, (kind, stop), _ = events_of(ask(protocols, f"words-finish={word}", stream=True))
    assert kind == "messageStop" and stop["stopReason"] == reason


def test_an_error_in_mid_stream_is_an_exception(protocols: ProtocolsProcess) -> None:
    kind, value = events_of(ask(protocols, "words-error=2", stream=True))[-1]
    assert kind == "modelStreamErrorException" and value["originalStatusCode"] == 500


def test_a_broken_frame_has_a_wrong_checksum(protocols: ProtocolsProcess) -> None:
    with pytest.raises(ChecksumMismatch):
        events_of(ask(protocols, "words-n3-bad=1", stream=True))


@pytest.mark.parametrize(
    ("model", "status", "kind", "said"),
    [
        ("401", 403, "UnrecognizedClientException", "security token"),
        ("404", 404, "ResourceNotFoundException", "Could not resolve the foundation model"),
        ("429", 429, "ThrottlingException", "Too many requests"),
        ("quota", 429, "ThrottlingException", "Too many tokens per day"),
        ("503", 503, "ServiceUnavailableException", "unable to process"),
        ("context=4", 400, "ValidationException", "Input is too long for requested model."),
    ],
)
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, kind: str, said: str) -> None:
    answer = ask(protocols, model)
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (status, kind)
    assert said in answer.json()["message"]


def test_an_image_is_seen(protocols: ProtocolsProcess, loop: Any) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = loop.run(heard("bedrock/converse/images", [{"role": "user", "content": content}]))
    assert answer.text == "image/png, 8 bytes"
