"""The fake of OpenAI's Responses API: others understand it, and it refuses what the real one refuses."""

from typing import Any

import httpx
import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, events_of, heard, post, with_results

ASKED = {"role": "user", "content": "Well?"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
ENCRYPTED = {"store": False, "include": ["reasoning.encrypted_content"]}
THINKING = ENCRYPTED | {"reasoning": {"summary": "auto"}}


def ask(protocols: ProtocolsProcess, model: str = "words-n3", *items: Any, **body: Any) -> httpx.Response:
    sent = {"model": model, "input": list(items) or [ASKED]} | body
    return post(f"{protocols.root}/v1/responses", sent, {"Authorization": "Bearer sk"})


def error_of(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    return response.json()["error"]["message"]


def known(protocols: ProtocolsProcess, name: str, *steps: str) -> str:
    """A model that litellm knows: of others it believes that they can't stream, and cuts a whole answer in pieces."""
    return protocols.script(name, list(steps)).replace("openai/", "openai/responses/")


def test_litellm_reads_text_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard(known(protocols, "gpt-4.1", "words-n4-usage=100,9-cached=40,0"), "Well?"))
    assert (answer.text, answer.finish) == ("w0 w1 w2 w3", "stop")
    assert answer.usage["prompt_tokens"] == 100 and answer.usage["completion_tokens"] == 9
    assert protocols.last()["protocol"] == "responses" and protocols.problems() == []


def test_litellm_reads_a_summary(protocols: ProtocolsProcess, loop: Any) -> None:
    effort = {"effort": "low", "summary": "auto"}
    model = known(protocols, "gpt-5", "words-n2-think=3")
    answer = loop.run(heard(model, "Well?", reasoning_effort=effort))
    assert (answer.text, answer.reasoning) == ("w0 w1", "r0 r1 r2")


def test_a_round_of_calls_goes_on(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = known(protocols, "gpt-4.1", f"words-{TWO_PLACES}", "results"), [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.problems() == []


def test_what_belongs_together_comes_back_together(protocols: ProtocolsProcess) -> None:
    model = "words-n2-think=2-tool=weather:city:Paris"
    thought, call = ask(protocols, model, **THINKING).json()["output"]
    result = RESULT | {"call_id": call["call_id"]}
    assert thought["summary"] == [{"type": "summary_text", "text": "r0 r1"}]
    assert ask(protocols, model, ASKED, thought, call, result, **THINKING).status_code == 200
    alone = error_of(ask(protocols, model, ASKED, call, result, **THINKING))
    assert alone == (
        f"Item '{call['id']}' of type 'function_call' was provided without its required 'reasoning' item:"
        f" '{thought['id']}'."
    )
    assert "required following item" in error_of(ask(protocols, model, ASKED, thought, **THINKING))
    bare = {name: value for name, value in call.items() if name != "id"}
    assert ask(protocols, model, ASKED, bare, result, **THINKING).status_code == 200  # as another model's call


def test_what_was_thought_is_encrypted_and_stored_nowhere(protocols: ProtocolsProcess) -> None:
    model = "words-n2-think=2"
    thought, message = ask(protocols, model, store=False).json()["output"]
    assert thought["summary"] == [] and "encrypted_content" not in thought  # neither was asked for
    again = error_of(ask(protocols, model, ASKED, thought, message, ASKED, store=False), 404)
    assert "Items are not persisted when `store` is set to false" in again
    changed = thought | {"encrypted_content": "gAAAAABforeign"}
    answer = ask(protocols, model, ASKED, changed, message, ASKED, **ENCRYPTED)
    assert "could not be verified" in error_of(answer)
    assert answer.json()["error"]["code"] == "invalid_encrypted_content"


def test_a_model_that_does_not_think_is_not_asked_to(protocols: ProtocolsProcess) -> None:
    assert "'reasoning.summary' is not supported with this model" in error_of(ask(protocols, "words", **THINKING))
    assert "Encrypted content is not supported" in error_of(ask(protocols, "words", **ENCRYPTED))
    assert "'temperature' is not supported" in error_of(ask(protocols, "gpt-5~words", temperature=1))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"role": "tool", "content": "?"}], "Supported values are: 'assistant', 'system', 'developer', and 'user'"),
        ([ASKED | {"name": "Alice"}], "Unknown parameter: 'input[0].name'."),
        ([{"role": "user", "content": [{"type": "text", "text": "?"}]}], "Invalid value: 'text'. Supported values"),
        ([{"role": "assistant", "content": [{"type": "input_text", "text": "?"}]}], "Invalid value: 'input_text'"),
        ([ASKED, CALL], "No tool output found for function call call_1."),
        ([ASKED, RESULT], "No tool call found for function call output with call_id call_1."),
        ([ASKED, CALL | {"id": "call_1"}, RESULT], "Expected an ID that begins with 'fc'."),
        ([ASKED, CALL | {"call_id": "c" * 65}, RESULT], "string too long. Expected a string with maximum length 64"),
        ([ASKED, CALL | {"name": "a.b"}, RESULT], "string does not match pattern"),
        ([ASKED, CALL | {"arguments": {}}, RESULT], "expected a string, but got an object"),
        ([ASKED, {"type": "reasoning", "id": "rs_1"}], "Missing required parameter: 'input[1].summary'."),
    ],
)
def test_items_that_break_a_rule_are_refused(protocols: ProtocolsProcess, items: list[Any], said: str) -> None:
    assert said in error_of(ask(protocols, "words", *items))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, "Unknown parameter: 'messages'."),
        ({"max_output_tokens": 5}, "Expected a value >= 16, but got 5 instead."),
        ({"tools": [WEATHER]}, "Missing required parameter: 'tools[0].name'."),
        ({"tools": [{"type": "function", "name": "a", "parameters": {"type": "string"}}]}, "schema must be a JSON"),
        ({"tools": [{"type": "function", "name": "a", "strict": True}]}, "'additionalProperties' is required"),
    ],
)
def test_fields_that_break_a_rule_are_refused(protocols: ProtocolsProcess, body: Any, said: str) -> None:
    assert said in error_of(ask(protocols, "words", **body))


def test_the_events_come_in_the_documented_order(protocols: ProtocolsProcess) -> None:
    answer = ask(protocols, "words-n1-think=1-cite=1-preamble=1-tool=weather-fragment=9", stream=True, **THINKING)
    events = events_of(answer)
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.annotation.added",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(20))


@pytest.mark.parametrize(
    ("word", "status", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_it_says_why_it_ends(protocols: ProtocolsProcess, word: str, status: str, details: Any) -> None:
    last = events_of(ask(protocols, f"words-finish={word}", stream=True))[-1]
    assert last["type"] == f"response.{status}" and last["response"]["incomplete_details"] == details


def test_a_refusal_is_a_part_of_its_own(protocols: ProtocolsProcess) -> None:
    answer = ask(protocols, "words-n2-finish=refusal", stream=True)
    events = events_of(answer)
    assert "".join(event["delta"] for event in events if event["type"] == "response.refusal.delta") == "w0 w1"
    assert events[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "w0 w1"}]


def test_an_image_is_an_item(protocols: ProtocolsProcess) -> None:
    items = ask(protocols, "words-n1-picture").json()["output"]
    assert [item["type"] for item in items] == ["message", "image_generation_call"]


def test_an_error_in_mid_stream_is_said_and_fails_the_response(protocols: ProtocolsProcess) -> None:
    *_, error, failed = events_of(ask(protocols, "words-error=2", stream=True))
    assert (error["type"], error["code"]) == ("error", "server_error")
    assert failed["type"] == "response.failed" and failed["response"]["error"]["code"] == "server_error"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("401", 401, "invalid_api_key"), ("404", 404, "model_not_found"), ("429", 429, "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota"), ("context=4", 400, "context_length_exceeded"),
        ("policy", 400, "content_policy_violation"),
    ],
)  # fmt: skip
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, code: str) -> None:
    answer = ask(protocols, model)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_an_image_is_seen(protocols: ProtocolsProcess) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    content = [{"type": "input_text", "text": "What?"}, image]
    answer = ask(protocols, "images", {"role": "user", "content": content}).json()
    assert answer["output"][0]["content"][0]["text"] == "image/png, 8 bytes"
