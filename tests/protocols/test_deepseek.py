"""The fake of DeepSeek's API: others understand it, and it refuses what the real one refuses."""

from typing import Any

import httpx
import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, events_of, heard, post, with_results

ASKED = {"role": "user", "content": "Well?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}


def ask(protocols: ProtocolsProcess, model: str = "words-n3", *messages: Any, **body: Any) -> httpx.Response:
    sent = {"model": model, "messages": list(messages) or [ASKED]} | body
    return post(f"{protocols.root}/deepseek/chat/completions", sent, {"Authorization": "Bearer sk"})


def error_of(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    return response.json()["error"]["message"]


def test_litellm_reads_text_thinking_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("deepseek/words-n4-think=3-usage=100,9-cached=40,0", "Well?"))
    assert (answer.text, answer.reasoning, answer.finish) == ("w0 w1 w2 w3", "r0 r1 r2", "stop")
    assert (answer.usage["prompt_tokens"], answer.usage["prompt_tokens_details"]["cached_tokens"]) == (100, 40)
    assert answer.usage["completion_tokens_details"]["reasoning_tokens"] == 3
    assert protocols.last()["protocol"] == "deepseek" and protocols.problems() == []


def test_a_round_of_calls_goes_on_with_its_reasoning(protocols: ProtocolsProcess, loop: Any) -> None:
    model, asked = f"deepseek/results-think=2-{TWO_PLACES}", [ASKED]
    first = loop.run(heard(model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    assert protocols.last()["body"]["messages"][1]["reasoning_content"] == "r0 r1"
    assert protocols.problems() == []


@pytest.mark.parametrize("model", ["words-think=2", "deepseek-reasoner~words"])
def test_reasoning_is_missed_in_the_running_turn_only(protocols: ProtocolsProcess, model: str) -> None:
    said = "Missing `reasoning_content` field in the assistant message at message index 1."
    turn = [ASKED, CALLING, RESULT]
    assert said in error_of(ask(protocols, model, *turn))
    assert ask(protocols, model, ASKED, CALLING | {"reasoning_content": "r"}, RESULT).status_code == 200
    assert ask(protocols, model, *turn, {"role": "assistant", "content": "Sunny."}, ASKED).status_code == 200
    assert said in error_of(ask(protocols, "words", *turn, thinking={"type": "enabled"}))
    assert ask(protocols, "words", *turn).status_code == 200


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "developer", "content": "!"}, ASKED], "messages[0].role: unknown variant `developer`"),
        ([{"role": "user", "content": [IMAGE]}], "messages[0]: unknown variant `image_url`, expected `text`"),
        ([ASKED | {"thinking_blocks": []}], "messages[0]: unknown field `thinking_blocks`"),
        ([ASKED, {"role": "assistant", "content": ""}, ASKED], "content or tool_calls must be set"),
        ([ASKED, CALLING], "insufficient tool messages following tool_calls message"),
        ([ASKED, CALLING, ASKED], "insufficient tool messages following tool_calls message"),
        ([ASKED, RESULT], "must be a response to a preceding message with 'tool_calls'"),
    ],
)
def test_messages_that_break_a_rule_are_refused(protocols: ProtocolsProcess, messages: list[Any], said: str) -> None:
    assert said in error_of(ask(protocols, "words", *messages))


def test_the_first_pieces_are_thoughts_without_text(protocols: ProtocolsProcess) -> None:
    _, thought, text, _ = events_of(ask(protocols, "words-n1-think=1", stream=True))
    assert thought["choices"][0]["delta"] == {"content": None, "reasoning_content": "r0"}
    assert text["choices"][0]["delta"] == {"content": "w0", "reasoning_content": None}


@pytest.mark.parametrize(
    ("model", "status", "said"),
    [
        ("401", 401, "Authentication Fails"),
        ("quota", 402, "Insufficient Balance"),
        ("503", 503, "Service is too busy"),
        ("policy", 400, "Content Exists Risk"),
        ("context=4", 400, "This model's maximum context length is 1 tokens. However, you requested 2 tokens"),
    ],
)
def test_errors_come_in_its_words(protocols: ProtocolsProcess, model: str, status: int, said: str) -> None:
    answer = ask(protocols, model)
    assert answer.status_code == status and said in answer.json()["error"]["message"]
