"""The fake of Anthropic's Messages API: others understand it, and it refuses what the real one refuses."""

from typing import Any

import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, events_of, heard, post, with_results

TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
HEADERS = {"x-api-key": "sk", "anthropic-version": "2023-06-01"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
ASKED = {"role": "user", "content": "Well?"}


def ask(protocols: ProtocolsProcess, model: str = "words-n3", *messages: Any, **body: Any) -> Any:
    sent = {"model": model, "max_tokens": 4096, "messages": list(messages) or [ASKED]} | body
    return post(f"{protocols.root}/anthropic/v1/messages", sent, HEADERS)


def error_of(response: Any) -> str:
    assert response.status_code == 400, response.text
    assert response.json()["type"] == "error" and response.json()["error"]["type"] == "invalid_request_error"
    return response.json()["error"]["message"]


def test_litellm_reads_text_thinking_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("anthropic/words-n4-think=3-usage=100,9-cached=40,20", "Well?"))
    assert (answer.text, answer.reasoning, answer.finish) == ("w0 w1 w2 w3", "r0 r1 r2", "stop")
    assert answer.usage["prompt_tokens"] == 100 and answer.usage["completion_tokens"] == 9
    assert answer.usage["cache_read_input_tokens"] == 40 and answer.usage["cache_creation_input_tokens"] == 20
    assert protocols.last()["protocol"] == "anthropic" and protocols.problems() == []


def test_a_round_of_calls_goes_on_with_its_thinking(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = f"anthropic/results-think=2-preamble=1-{TWO_PLACES}", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    assert first.finish == "tool_calls"
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.problems() == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"thinking_blocks": None}, "Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
        (
            {"thinking_blocks": [{"type": "thinking", "thinking": "mine", "signature": "foreign"}]},
            "messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
    ],
)
def test_thinking_that_is_missing_or_foreign_is_refused(
    protocols: ProtocolsProcess, loop: Any, changed: Any, said: str
) -> None:
    model, asked = "anthropic/words-think=2-tool=weather:city:Paris", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    with pytest.raises(Exception, match=r"Expected|Invalid"):
        loop.run(heard(model, with_results(asked, first, **changed), tools=[WEATHER]))
    assert said in protocols.problems()[0]


def test_hidden_thinking_comes_back_too(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = "anthropic/words-n2-think=2-hidden-tool=weather:city:Paris", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.reasoning == "" and first.message["thinking_blocks"][0]["type"] == "redacted_thinking"
    assert loop.run(heard(model, with_results(asked, first), tools=[WEATHER])).text == "w0 w1"
    assert protocols.problems() == []


def test_a_block_that_is_left_out_of_two_is_noticed(protocols: ProtocolsProcess) -> None:
    """The issued blocks are remembered by the call that they came before."""
    model = "words-think=1-tool=weather"
    thinking, call = ask(protocols, model, tools=[TOOL]).json()["content"]
    result = RESULT | {"tool_use_id": call["id"]}
    turn = {"role": "assistant", "content": [thinking, thinking, call]}
    refused = ask(protocols, model, ASKED, turn, {"role": "user", "content": [result]}, tools=[TOOL])
    assert "cannot be modified" in error_of(refused)


def test_thinking_that_is_asked_for_must_begin_a_running_turn(protocols: ProtocolsProcess) -> None:
    """A turn that another model began can't go on with thinking, and can without."""
    messages = [ASKED, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]}]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert "but found `tool_use`" in error_of(ask(protocols, "words", *messages, tools=[TOOL], thinking=thinking))
    assert ask(protocols, "words", *messages, tools=[TOOL]).status_code == 200
    messages += [assistant(text("Sunny.")), ASKED]
    assert ask(protocols, "words", *messages, tools=[TOOL], thinking=thinking).status_code == 200


def assistant(*blocks: Any) -> Any:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: Any) -> Any:
    return {"role": "user", "content": list(blocks)}


def text(said: str, **more: Any) -> Any:
    return {"type": "text", "text": said} | more


MARK = {"cache_control": {"type": "ephemeral"}}
REFUSED_MESSAGES: list[tuple[list[Any], str]] = [
    ([assistant(text("Hello"))], 'first message must use the "user" role'),
    ([{"role": "system", "content": "Be brief."}, ASKED], 'Unexpected role "system"'),
    ([user(text(""))], "text content blocks must be non-empty"),
    ([user(text(" "))], "must contain non-whitespace text"),
    ([{"role": "user", "content": ""}], "user messages must have non-empty content"),
    ([ASKED, assistant(), ASKED], "messages.1: all messages must have non-empty content"),
    ([ASKED, assistant(text("So "))], "final assistant content cannot end with trailing whitespace"),
    ([ASKED | {"name": "Alice"}], "messages.0.name: Extra inputs are not permitted"),
    ([user(text("?", foo=1))], "messages.0.content.0.text.foo: Extra inputs are not permitted"),
    ([user({"type": "image_url"})], "Input tag 'image_url' found using 'type' does not match"),
    ([ASKED, assistant(CALL), ASKED], "`tool_use` ids were found without `tool_result` blocks immediately after"),
    ([ASKED, assistant(CALL)], "`tool_use` ids were found without `tool_result` blocks"),
    ([ASKED, assistant(CALL), user(text("?"), RESULT)], "`tool_use` ids were found without `tool_result` blocks"),
    ([ASKED, assistant(text("?")), user(RESULT)], "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
    ([ASKED, assistant(CALL), user(RESULT, RESULT)], "each tool_use must have a single result"),
    ([ASKED, assistant(CALL, CALL), user(RESULT)], "`tool_use` ids must be unique"),
    ([ASKED, assistant(CALL | {"id": "a.b"}), user(RESULT)], "String should match pattern '^[a-zA-Z0-9_-]+$'"),
    ([ASKED, assistant(CALL | {"input": "{}"}), user(RESULT)], "input: Input should be a valid dictionary"),
    ([user(*(text(str(n), **MARK) for n in range(5)))], "A maximum of 4 blocks with cache_control"),
    (
        [user({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "aaaa"}})],
        "media_type",
    ),
]


@pytest.mark.parametrize(("messages", "said"), REFUSED_MESSAGES)
def test_messages_that_break_a_rule_are_refused(protocols: ProtocolsProcess, messages: list[Any], said: str) -> None:
    assert said in error_of(ask(protocols, "words", *messages, tools=[TOOL]))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"n": 1}, "n: Extra inputs are not permitted"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "`max_tokens` must be greater than"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.5}, "may only be set to 1"),
        ({"tools": [TOOL | {"name": "a.b"}]}, "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
        ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
        ({"system": [text("")]}, "system: text content blocks must be non-empty"),
    ],
)
def test_fields_that_break_a_rule_are_refused(protocols: ProtocolsProcess, body: Any, said: str) -> None:
    assert said in error_of(ask(protocols, "words", **body))


def test_a_history_with_calls_needs_the_tools(protocols: ProtocolsProcess) -> None:
    assert "must define tools" in error_of(ask(protocols, "words", ASKED, assistant(CALL), user(RESULT)))


def test_messages_of_one_role_in_a_row_are_one(protocols: ProtocolsProcess) -> None:
    answer = ask(protocols, "echo", ASKED, {"role": "user", "content": "Please?"})
    assert answer.json()["content"][0]["text"] == "Well?\nPlease?"


def test_keys_and_versions_are_asked_for(protocols: ProtocolsProcess) -> None:
    body = {"model": "words", "max_tokens": 9, "messages": [ASKED]}
    url = f"{protocols.root}/anthropic/v1/messages"
    assert post(url, body).status_code == 401
    assert "anthropic-version" in error_of(post(url, body, {"x-api-key": "sk"}))


def test_a_marked_beginning_is_read_from_the_cache_the_next_time(protocols: ProtocolsProcess) -> None:
    system = [text("long " * 2000, **MARK)]
    first = ask(protocols, system=system).json()["usage"]
    second = ask(protocols, "words-n3", ASKED, assistant(text("w0")), ASKED, system=system).json()["usage"]
    assert first["cache_read_input_tokens"] == 0 and first["cache_creation_input_tokens"] > 2000
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert second["cache_creation_input_tokens"] == 0


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("length", "max_tokens"), ("refusal", "refusal"), ("sequence", "stop_sequence"), ("pause", "pause_turn"),
        ("window", "model_context_window_exceeded"), ("stop", "end_turn"),
    ],
)  # fmt: skip
def test_it_says_why_it_ends(protocols: ProtocolsProcess, word: str, reason: str) -> None:
    *_, delta, stop = events_of(ask(protocols, f"words-n2-finish={word}", stream=True))
    assert delta["delta"]["stop_reason"] == reason and stop == {"type": "message_stop"}


def test_the_events_come_in_the_documented_order(protocols: ProtocolsProcess) -> None:
    events = events_of(ask(protocols, "words-n1-think=1-cite=1-preamble=1-tool=weather", stream=True, tools=[TOOL]))
    assert [event.get("delta", event).get("type", event["type"]) for event in events] == [
        "message_start",
        "content_block_start", "ping", "thinking_delta", "signature_delta", "content_block_stop",
        "content_block_start", "text_delta", "citations_delta", "content_block_stop",
        "content_block_start", "input_json_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


def test_an_error_in_mid_stream_is_an_event(protocols: ProtocolsProcess) -> None:
    answer = ask(protocols, "words-error=2", stream=True)
    assert "event: error\n" in answer.text
    assert events_of(answer)[-1]["error"] == {"type": "overloaded_error", "message": "Overloaded"}


@pytest.mark.parametrize(
    ("model", "status", "kind", "said"),
    [
        ("529", 529, "overloaded_error", "Overloaded"),
        ("429-retryafter=7", 429, "rate_limit_error", "rate limit"),
        ("401", 401, "authentication_error", "invalid x-api-key"),
        ("404", 404, "not_found_error", "model: 404"),
        ("quota", 400, "invalid_request_error", "credit balance is too low"),
        ("context=4", 400, "invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"),
    ],
)
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, kind: str, said: str) -> None:
    answer = ask(protocols, model)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, kind) and said in error["message"]
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert protocols.problems() == []  # that was the script, not the request


def test_an_image_is_seen(protocols: ProtocolsProcess, loop: Any) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = loop.run(heard("anthropic/images", [{"role": "user", "content": content}]))
    assert answer.text == "image/png, 8 bytes"
