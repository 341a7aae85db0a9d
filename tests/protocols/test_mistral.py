"""The fake of Mistral's API: others understand it, and it refuses what the real one refuses."""

from typing import Any

import httpx
import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, events_of, heard, post, with_results

ASKED = {"role": "user", "content": "Well?"}
CALL = {"id": "abcDEF123", "function": {"name": "weather", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "abcDEF123", "name": "weather", "content": "sunny"}


def ask(protocols: ProtocolsProcess, model: str = "words-n3", *messages: Any, **body: Any) -> httpx.Response:
    sent = {"model": model, "messages": list(messages) or [ASKED]} | body
    return post(f"{protocols.root}/mistral/v1/chat/completions", sent, {"Authorization": "Bearer sk"})


def test_litellm_reads_text_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("mistral/words-n4-usage=100,9", "Well?"))
    assert (answer.text, answer.finish) == ("w0 w1 w2 w3", "stop")
    assert (answer.usage["prompt_tokens"], answer.usage["completion_tokens"]) == (100, 9)
    assert protocols.last()["protocol"] == "mistral" and protocols.problems() == []


def test_litellm_reads_thinking(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("mistral/words-n2-think=3", "Well?"))
    assert (answer.text, answer.reasoning) == ("w0 w1", "r0 r1 r2")


def test_a_round_of_calls_goes_on(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = f"mistral/results-{TWO_PLACES}", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.problems() == []


def test_thoughts_are_parts_of_a_list(protocols: ProtocolsProcess) -> None:
    _, thought, first, second, _ = events_of(ask(protocols, "words-n2-think=1", stream=True))
    assert [chunk["choices"][0]["delta"]["content"] for chunk in (thought, first, second)] == [
        [{"type": "thinking", "thinking": [{"type": "text", "text": "r0"}]}],
        [{"type": "text", "text": "w0"}],
        " w1",
    ]


@pytest.mark.parametrize(
    ("messages", "body", "loc"),
    [
        ([ASKED], {"stream_options": {"include_usage": True}}, ["body", "stream_options"]),
        ([ASKED], {"max_completion_tokens": 9}, ["body", "max_completion_tokens"]),
        ([ASKED | {"name": "Alice"}], {}, ["body", "messages", 0, "user", "name"]),
        (
            [ASKED, {"role": "assistant", "content": "So", "reasoning_content": "r"}, ASKED],
            {},
            ["body", "messages", 1, "assistant", "reasoning_content"],
        ),
    ],
)
def test_unknown_fields_are_refused_with_a_list(
    protocols: ProtocolsProcess, messages: list[Any], body: Any, loc: list[Any]
) -> None:
    answer = ask(protocols, "words", *messages, **body)
    assert answer.status_code == 422
    (detail,) = answer.json()["message"]["detail"]
    assert (detail["type"], detail["loc"], detail["msg"]) == (
        "extra_forbidden",
        loc,
        "Extra inputs are not permitted",
    )


@pytest.mark.parametrize(
    ("messages", "said", "code"),
    [
        ([ASKED, CALLING, RESULT, ASKED], "Unexpected role 'user' after role 'tool'", "3230"),
        ([{"role": "assistant", "content": "So"}, ASKED], "Unexpected role 'assistant'", "3230"),
        ([ASKED, CALLING, RESULT, {"role": "system", "content": "!"}], "role 'system' after role 'tool'", "3230"),
        ([ASKED, {"role": "assistant", "content": "So"}], "Expected last role User or Tool", "3230"),
        ([ASKED, CALLING, ASKED], "Not the same number of function calls and responses", "3230"),
        ([ASKED, CALLING, RESULT, RESULT], "Unexpected tool call id abcDEF123 in tool results", "3230"),
        ([ASKED, {"role": "assistant", "content": ""}, ASKED], "either content or tool_calls, but not none", "3240"),
        (
            [ASKED, CALLING | {"tool_calls": [CALL | {"id": "call_1"}]}],
            "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.",
            "3280",
        ),
    ],
)
def test_messages_out_of_order_are_refused(
    protocols: ProtocolsProcess, messages: list[Any], said: str, code: str
) -> None:
    answer = ask(protocols, "words", *messages)
    error = answer.json()
    assert (answer.status_code, error["object"], error["code"]) == (400, "error", code) and said in error["message"]


@pytest.mark.parametrize(("word", "reason"), [("length", "length"), ("window", "model_length"), ("refusal", "stop")])
def test_it_says_why_it_ends(protocols: ProtocolsProcess, word: str, reason: str) -> None:
    last = events_of(ask(protocols, f"words-finish={word}", stream=True))[-1]
    assert last["choices"][0]["finish_reason"] == reason and last["usage"]["completion_tokens"] == 20


def test_an_error_in_mid_stream_is_an_error_object(protocols: ProtocolsProcess) -> None:
    assert events_of(ask(protocols, "words-error=2", stream=True))[-1]["object"] == "error"


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("401", 401, "Unauthorized"),
        ("404", 400, "Invalid model: 404"),
        ("429", 429, "Rate limit exceeded"),
        ("context=4", 400, "too large for model with 1 maximum context length"),
    ],
)
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, said: str) -> None:
    answer = ask(protocols, model)
    assert answer.status_code == status and said in answer.json()["message"]
