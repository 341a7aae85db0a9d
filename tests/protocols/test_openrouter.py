"""The fake of OpenRouter's API: others understand it, and it refuses what the providers behind it refuse."""

import json
from typing import Any

import httpx
import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, events_of, heard, post, with_results

ASKED = {"role": "user", "content": "Well?"}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def ask(protocols: ProtocolsProcess, model: str = "words-n3", *messages: Any, **body: Any) -> httpx.Response:
    sent = {"model": model, "messages": list(messages) or [ASKED]} | body
    return post(f"{protocols.root}/openrouter/api/v1/chat/completions", sent, {"Authorization": "Bearer sk"})


def raw_of(response: httpx.Response) -> str:
    """The words of the provider behind."""
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["message"]) == (400, 400, "Provider returned error")
    return json.loads(error["metadata"]["raw"])["error"]["message"]


def test_litellm_reads_text_reasoning_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("openrouter/anthropic/words-n4-think=3-usage=100,9-cached=40,0", "Well?"))
    assert (answer.text, answer.reasoning, answer.finish) == ("w0 w1 w2 w3", "r0 r1 r2", "stop")
    assert answer.usage["prompt_tokens"] == 100 and answer.usage["cost"] == 0.00109
    assert answer.usage["prompt_tokens_details"]["cached_tokens"] == 40
    assert protocols.last()["protocol"] == "openrouter" and protocols.problems() == []


def test_a_round_of_calls_goes_on(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = f"openrouter/results-{TWO_PLACES}", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.problems() == []


@pytest.mark.parametrize("word", ["", "-hidden"])
def test_reasoning_comes_back_unchanged(protocols: ProtocolsProcess, word: str) -> None:
    model = f"words-n2-think=2-tool=weather:city:Paris{word}"
    chunks = [chunk["choices"][0]["delta"] for chunk in events_of(ask(protocols, model, stream=True))]
    pieces = [piece for delta in chunks for piece in delta.get("reasoning_details", ())]
    (start,) = [delta["tool_calls"][0] for delta in chunks if "id" in delta.get("tool_calls", [{}])[0]]
    call = start | {"function": {"name": "weather", "arguments": "{}"}}
    result = RESULT | {"tool_call_id": call["id"]}

    def again(**fields: Any) -> httpx.Response:
        return ask(
            protocols, model, ASKED, {"role": "assistant", "content": "", "tool_calls": [call]} | fields, result
        )

    assert again(reasoning_details=pieces).status_code == 200  # piece by piece
    joined: dict[str, Any] = {name: value for piece in pieces for name, value in piece.items()}
    if not word:
        joined["text"] = "r0 r1"
    assert again(reasoning_details=[joined]).status_code == 200  # put together
    assert "but found `tool_use`" in raw_of(again())
    foreign = {"text": "mine"} if not word else {"data": "foreign"}
    assert "Invalid `signature`" in raw_of(again(reasoning_details=[joined | foreign]))
    assert "cannot be modified" in raw_of(again(reasoning_details=[joined, joined | {"index": 1}]))


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "user", "content": ""}], "text content blocks must be non-empty"),
        ([ASKED, {"role": "assistant", "content": ""}, ASKED], "all messages must have non-empty content"),
        ([ASKED, RESULT], "unexpected `tool_use_id` found"),
    ],
)
def test_messages_that_break_a_rule_are_refused(protocols: ProtocolsProcess, messages: list[Any], said: str) -> None:
    assert said in raw_of(ask(protocols, "words", *messages))


def test_a_comment_comes_first_and_the_figures_in_a_chunk_of_their_own(protocols: ProtocolsProcess) -> None:
    answer = ask(protocols, "words-n1", stream=True)
    assert answer.text.startswith(": OPENROUTER PROCESSING\n\n")
    *_, last, figures = events_of(answer)
    assert last["choices"][0]["native_finish_reason"] == "end_turn" and "usage" not in last
    assert figures["choices"][0]["delta"]["content"] == "" and figures["usage"]["cost"] > 0


def test_sources_and_images_come(protocols: ProtocolsProcess) -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in events_of(ask(protocols, "n1-cite=1-picture", stream=True))]
    (cited,) = [delta["annotations"] for delta in deltas if "annotations" in delta]
    (drawn,) = [delta["images"] for delta in deltas if "images" in delta]
    assert cited[0]["url_citation"]["url"] == "https://example.org/source/0"
    assert drawn[0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_an_error_in_mid_stream_stands_beside_choices(protocols: ProtocolsProcess) -> None:
    last = events_of(ask(protocols, "words-error=2", stream=True))[-1]
    assert last["error"]["code"] == 502 and last["choices"][0]["finish_reason"] == "error"


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("401", 401, "User not found"),
        ("quota", 402, "Insufficient credits"),
        ("404", 404, "No endpoints found for 404"),
        ("429", 429, "Provider returned error"),
        ("policy", 403, "flagged"),
        ("context=4", 400, "This endpoint's maximum context length is 1 tokens"),
    ],
)
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, said: str) -> None:
    answer = ask(protocols, model)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status) and said in error["message"]
