"""The fake of Ollama's API: others understand it, and it refuses what the real one refuses."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, heard, plain_client, post, with_results

ASKED = {"role": "user", "content": "Well?"}
CALL = {"function": {"name": "weather", "arguments": {"city": "Paris"}}}


def ask(protocols: ProtocolsProcess, model: str = "words-n3", *messages: Any, **body: Any) -> httpx.Response:
    sent = {"model": model, "messages": list(messages) or [ASKED], "stream": False} | body
    return post(f"{protocols.root}/ollama/api/chat", sent)


def error_of(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    return response.json()["error"]


def lines_of(response: httpx.Response) -> list[Any]:
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("provider", ["ollama_chat", "ollama"])
def test_litellm_reads_text_thinking_and_figures(protocols: ProtocolsProcess, loop: Any, provider: str) -> None:
    answer = loop.run(heard(f"{provider}/words-n4-think=3-usage=100,9", "Well?"))
    assert (answer.text, answer.reasoning) == ("w0 w1 w2 w3", "r0 r1 r2")
    assert (answer.usage["prompt_tokens"], answer.usage["completion_tokens"]) == (100, 9)
    assert protocols.last()["protocol"] == "ollama" and protocols.problems() == []


def test_a_round_of_calls_goes_on(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = f"ollama_chat/results-think=2-{TWO_PLACES}", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.problems() == []


def test_calls_come_whole_and_without_ids(protocols: ProtocolsProcess) -> None:
    *_, call, end = lines_of(ask(protocols, "words-tool=weather:city:Paris", stream=True))
    assert call["message"]["tool_calls"] == [CALL]
    assert end["done"] and end["done_reason"] == "stop"


def test_a_call_that_cannot_be_read_is_text(protocols: ProtocolsProcess) -> None:
    message = ask(protocols, "words-tool=weather:city:Paris-badargs").json()["message"]
    assert message["content"] == '{"name": "weather", "arguments": {"city": "Paris", "broken}' and len(message) == 2


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (
            [ASKED, {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": "{}"}}]}],
            "json: cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments of"
            " type api.ToolCallFunctionArguments",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
            "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
        ),
        ([ASKED | {"images": ["data:image/png;base64,iVBORw0KGgo="]}], "illegal base64 data at input byte 4"),
        ([{"role": "developer", "content": "?"}], "invalid role: developer"),
    ],
)
def test_messages_of_wrong_types_are_refused(protocols: ProtocolsProcess, messages: list[Any], said: str) -> None:
    assert said in error_of(ask(protocols, "words", *messages))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            {"properties": []},
            "cannot unmarshal array into Go struct field ChatRequest.tools.function.parameters.prop",
        ),
        ({"properties": {"a": True}}, "of type api.ToolProperty"),
        ({"required": "a"}, "of type []string"),
    ],
)
def test_tools_of_wrong_types_are_refused(protocols: ProtocolsProcess, parameters: Any, said: str) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    assert said in error_of(ask(protocols, "words", tools=[tool]))


def test_a_plain_model_refuses_what_it_cannot_do(protocols: ProtocolsProcess) -> None:
    said = "registry.ollama.ai/library/words-plain does not support tools"
    assert error_of(ask(protocols, "words-plain", tools=[WEATHER])) == said
    assert error_of(ask(protocols, "words-plain", think=True)) == '"words-plain" does not support thinking'
    assert ask(protocols, "words-plain").status_code == 200


def test_thinking_can_be_switched_off(protocols: ProtocolsProcess) -> None:
    assert ask(protocols, "words-think=2").json()["message"]["thinking"] == "r0 r1"
    assert "thinking" not in ask(protocols, "words-think=2", think=False).json()["message"]
    assert "invalid think value" in error_of(ask(protocols, "words", think="much"))


@pytest.mark.parametrize(("word", "reason"), [("stop", "stop"), ("length", "length"), ("refusal", "stop")])
def test_it_says_why_it_ends(protocols: ProtocolsProcess, word: str, reason: str) -> None:
    assert lines_of(ask(protocols, f"words-finish={word}", stream=True))[-1]["done_reason"] == reason


def test_no_messages_load_the_model(protocols: ProtocolsProcess) -> None:
    answer = post(f"{protocols.root}/ollama/api/chat", {"model": "words", "messages": []}).json()
    assert answer["done_reason"] == "load" and protocols.requests() == []


def test_an_error_in_mid_stream_is_a_line(protocols: ProtocolsProcess) -> None:
    assert "encountered while running the model" in lines_of(ask(protocols, "error=2", stream=True))[-1]["error"]


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("404", 404, "model '404' not found"),
        ("503", 503, "server busy"),
        ("quota", 402, "usage limit"),
        ("context=4", 400, "request (2 tokens) exceeds the available context size (1 tokens)"),
    ],
)
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, said: str) -> None:
    answer = ask(protocols, model)
    assert answer.status_code == status and said in answer.json()["error"]


def show(protocols: ProtocolsProcess, model: str) -> httpx.Response:
    return post(f"{protocols.root}/ollama/api/show", {"model": model})


def test_it_says_what_a_model_can(protocols: ProtocolsProcess) -> None:
    told = show(protocols, "words-context=64K").json()
    assert told["model_info"]["llama.context_length"] == 16_384 and "tools" in told["capabilities"]
    assert show(protocols, "words-plain").json()["capabilities"] == ["completion"]
    assert [record["path"] for record in protocols.lookups()] == ["/ollama/api/show"] * 2
    assert protocols.requests() == []


def test_what_it_says_of_a_model_may_come_late_or_never(protocols: ProtocolsProcess) -> None:
    assert [show(protocols, f"words-show={code}").status_code for code in (404, 500)] == [404, 500]
    assert show(protocols, "llama3.2:3b").status_code == 404
    before = time.monotonic()
    assert show(protocols, "words-show=0.2").status_code == 200 and time.monotonic() - before >= 0.2
    url = f"{protocols.root}/ollama/api/show"
    with plain_client(timeout=0.1) as client, pytest.raises(httpx.ReadTimeout):
        client.post(url, json={"model": "words-show=hang"})
    protocols.wait_for(lambda it: it.active() == 0)


def test_an_image_is_seen(protocols: ProtocolsProcess, loop: Any) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = loop.run(heard("ollama_chat/images", [{"role": "user", "content": content}]))
    assert answer.text == "image/png, 8 bytes"
