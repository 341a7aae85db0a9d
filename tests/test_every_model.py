"""Each protocol, each situation: whole turns with strict fakes. docs/models.md says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assistant.delivery import live_text
from assistant.lifecycle import asking
from assistant.tools import Result, Service
from assistant.worker.turn import Stop
from tests.acting import answer_of, ask, claimed, now
from tests.files import png, uploaded
from tests.protocols import ProtocolsProcess
from tests.rounds import beside, calls, offer, run_to_the_end, run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]

# By litellm's prefix: what the model's name begins with, before the script.
PROTOCOLS = {
    "openai": "openai/",
    "anthropic": "anthropic/claude-sonnet-4-5~",
    "gemini": "gemini/gemini-2.5-flash~",
    "ollama": "ollama_chat/llama3.2~",
    "responses": "openai/responses/gpt-5~",
    "mistral": "mistral/magistral-medium-latest~",
    "deepseek": "deepseek/deepseek-reasoner~",
    "openrouter": "openrouter/anthropic/claude-sonnet-4.5~",
    "bedrock": "bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0~",
}
everywhere = pytest.mark.parametrize("protocol", PROTOCOLS)


def everywhere_but(*without: str) -> Any:
    return pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name not in without])


@pytest.fixture
def weather(settings, monkeypatch):
    """What the tool was asked for."""
    asked: list[str] = []
    service = Service("weather", title="Weather", description="For tests.")

    @service.tool(title="Weather", timeout=5, idempotent=True)
    def weather(city: str) -> Result:
        """The weather.

        city: which one
        """
        asked.append(city)
        return Result(f"Sunny in {city}")

    offer(settings, monkeypatch, service)
    return asked


@pytest.fixture
def turn(loop, protocols: ProtocolsProcess, session, alice, worker, settings):
    """Asks a model that follows a script, and gives the answer as it ended. No rule of a provider was broken."""
    settings.ASSISTANT_RETRIES = 0

    def turn(protocol: str, script: str, *, tools: bool = False, breaks: bool = False, **parameters: Any) -> Any:
        session.services = ["weather"] if tools else []
        session.parameters = parameters
        session.save()
        sent = ask(session, alice, "How is it?", model=PROTOCOLS[protocol] + script)
        answer = run_to_the_end(loop, answer_of(sent), worker)
        if not breaks:
            assert protocols.problems() == []
        return answer

    return turn


WORDS = "w0 w1 w2 w3 w4"
# The situations that docs/models.md names, by the tests that play them.
COLUMNS = {
    "text": "test_text_is_read_to_the_letter",
    "thinking": "test_thoughts_are_no_part_of_the_answer",
    "tools": "test_a_tool_is_called_and_its_result_told",
    "thinking with tools": "test_thoughts_go_back_with_their_calls_over_several_rounds",
    "image": "test_an_image_is_seen",
    "overflow": "test_an_overflow_is_known_as_one",
    "refusal": "test_a_refusal_is_told_with_its_words",
    "cut": "test_a_cut_line_is_no_whole_answer",
    "error in mid stream": "test_an_error_in_mid_stream_keeps_what_was_said",
    "limit": "test_an_output_limit_is_told_from_an_end",
    "Stop": "test_stop_closes_the_line_and_keeps_the_words",
    "money": "test_money_is_what_the_provider_counted",
}


def test_the_documents_say_what_is_played_here():
    def plays(column: str, protocol: str) -> bool:
        marks = globals()[COLUMNS[column]].pytestmark
        return any(protocol in mark.args[1] for mark in marks if mark.name == "parametrize")

    said = " ".join((Path(__file__).parents[1] / "docs" / "models.md").read_text().split())
    assert f"By {', '.join(PROTOCOLS)}: {', '.join(COLUMNS)}." in said
    missing = {column: [protocol for protocol in PROTOCOLS if not plays(column, protocol)] for column in COLUMNS}
    lines = [f"- no {column}: {', '.join(protocols)} (" for column, protocols in missing.items() if protocols]
    assert [line for line in lines if line not in said] == [] and said.count("- no ") == len(lines)


@everywhere
def test_text_is_read_to_the_letter(turn, protocol):
    answer = turn(protocol, "words-n5")
    assert (answer.status, answer.content) == ("success", WORDS), answer.error_note


@everywhere
def test_letters_that_are_cut_in_two_are_whole(turn, protocol):
    answer = turn(protocol, "unicode-split")
    assert answer.status == "success" and "👩‍👩‍👧‍👦" in answer.content


@everywhere
def test_thoughts_are_no_part_of_the_answer(turn, protocol):
    answer = turn(protocol, "words-n5-think=3", reasoning_effort="low")
    assert (answer.status, answer.content, answer.reasoning) == ("success", WORDS, "r0 r1 r2"), answer.error_note


@everywhere
def test_thoughts_and_a_temperature_go_together(turn, protocol):
    # OpenAI's own models refuse a temperature altogether: they are asked again without.
    breaks = protocol == "responses"
    answer = turn(protocol, "words-n5-think=3", breaks=breaks, reasoning_effort="low", temperature=0.5, top_p=0.9)
    assert (answer.status, answer.content) == ("success", WORDS), answer.error_note


@everywhere
def test_a_tool_is_called_and_its_result_told(turn, protocol, weather):
    answer = turn(protocol, "tool=weather:city:Paris-results", tools=True)
    assert weather == ["Paris"] and calls(answer) == [("weather", "success")], answer.error_note
    assert answer.status == "success" and "Sunny in Paris" in answer.content


@everywhere
def test_tools_are_called_side_by_side(turn, protocol, weather):
    answer = turn(protocol, "tool=weather:city:Paris-tool=weather:city:Oslo-results", tools=True)
    assert sorted(weather) == ["Oslo", "Paris"], answer.error_note
    assert answer.status == "success" and "Paris" in answer.content and "Oslo" in answer.content


@everywhere
def test_thoughts_go_back_with_their_calls_over_several_rounds(turn, protocol, weather):
    answer = turn(protocol, "words-n5-think=3-tool=weather:city:Paris-rounds=3", tools=True, reasoning_effort="low")
    assert (answer.status, answer.content) == ("success", WORDS), answer.error_note
    assert len(weather) == 3 and answer.reasoning.count("r0 r1 r2") == 4


@everywhere_but("openai", "deepseek")  # the plain script knows no images, DeepSeek's models neither
def test_an_image_is_seen(loop, protocols, session, alice, worker, settings, protocol):
    settings.ASSISTANT_VISION_MODELS = ["*"]
    image = uploaded(alice, png(), "dot.png", session)
    sent = asking.send(session, alice, "What is it?", "one", PROTOCOLS[protocol] + "images", attachments=[image.pk])
    answer = run_to_the_end(loop, answer_of(sent), worker)
    assert answer.status == "success" and answer.content.startswith("image/png"), (answer.error_note, answer.content)
    assert protocols.problems() == []


def test_a_session_goes_on_when_its_model_changes_again_and_again(turn, weather):
    """With thoughts and tools, and a failure now and then: whatever the one before left, the next one takes it."""
    for number, protocol in enumerate([*PROTOCOLS, *reversed(PROTOCOLS)]):
        answer = turn(protocol, "words-n5-think=2-tool=weather:city:Paris", tools=True, reasoning_effort="low")
        assert (answer.status, answer.content) == ("success", WORDS), (protocol, answer.error_note)
        assert len(weather) == number + 1
        assert turn(protocol, "words-n5-cut=3").status == "error"
        assert turn(protocol, "words-503", breaks=True).is_bounced


@everywhere
def test_an_overflow_is_known_as_one(turn, protocol):
    answer = turn(protocol, "words-context=1")
    assert (answer.status, answer.error_code) == ("error", "context_overflow"), answer.error_note


@everywhere
def test_a_cut_line_is_no_whole_answer(turn, protocol):
    answer = turn(protocol, "words-n9-cut=5")
    assert (answer.status, answer.error_code, answer.content) == ("error", "provider_error", WORDS), answer.error_note


@everywhere
def test_an_error_in_mid_stream_keeps_what_was_said(turn, protocol):
    answer = turn(protocol, "words-n9-error=5")
    assert (answer.status, answer.error_code, answer.content) == ("error", "provider_error", WORDS), answer.error_note


@everywhere
def test_an_end_without_a_reason_is_told_from_an_orderly_one(turn, protocol):
    answer = turn(protocol, "words-n5-finish=none-nodone")
    assert (answer.status, answer.error_code, answer.content) == ("error", "incomplete_response", WORDS)


@everywhere
def test_an_output_limit_is_told_from_an_end(turn, protocol):
    answer = turn(protocol, "words-n5-finish=length")
    assert (answer.status, answer.error_code, answer.content) == ("error", "incomplete_response", WORDS)


@everywhere_but("ollama", "mistral", "deepseek")  # which have no word for it
def test_a_refusal_is_told_with_its_words(turn, protocol):
    answer = turn(protocol, "words-n5-finish=refusal")
    assert (answer.status, answer.content) == ("error", WORDS) and answer.error_code in (
        "refusal",
        "content_filtered",
    )


@everywhere
def test_money_is_what_the_provider_counted(turn, protocol):
    answer = turn(protocol, "words-n5-usage=70,5")
    assert (answer.usage["prompt_tokens"], answer.usage["completion_tokens"]) == (70, 5)
    assert not answer.usage["is_estimate"]


@everywhere
def test_stop_closes_the_line_and_keeps_the_words(loop, protocols, session, alice, worker, protocol):
    sent = ask(session, alice, model=f"{PROTOCOLS[protocol]}words-n9-hold=5")
    answer = answer_of(sent)

    def is_shown(_: ProtocolsProcess) -> bool:
        text = live_text.read(answer.pk)
        return text is not None and text.content.strip() == WORDS

    async def stop(turn):
        await beside(protocols.wait_for, is_shown, 120.0)
        await beside(asking.cancel, answer, alice)
        turn.stop(Stop.LOST)

    run_turn(loop, claimed(answer, worker), stop)
    protocols.wait_for(lambda it: it.active() == 0)
    assert (now(answer).status, now(answer).content.strip()) == ("cancelled", WORDS)
