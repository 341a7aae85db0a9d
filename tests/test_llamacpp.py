"""A real llama.cpp server behind the product: streams, thinking, calls, Stop and refusals in its own words.

Its model is made by `tests.llamacpp` and answers what the question's words say: `on and on`, `think`, `add`, else briefly.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from assistant import llm
from assistant.delivery import live_text
from assistant.lifecycle import asking
from assistant.llm.pieces import Finish, ModelError, Reasoning, Text, Usage
from assistant.models import Summary, ToolCall
from assistant.tools import Service
from assistant.worker.turn import Stop
from tests.acting import answer_of, ask, claimed, fail, now
from tests.rounds import beside, calls, offer, run_to_the_end, run_turn

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # litellm's libraries'

# By each a person with a llama.cpp server may name its models.
PREFIXES = ("openai", "hosted_vllm", "llamafile", "lm_studio")


@pytest.fixture
def llama(llama_server, settings, monkeypatch):
    for prefix in PREFIXES:
        monkeypatch.setenv(f"{prefix.upper()}_API_BASE", llama_server.base_url)
        monkeypatch.setenv(f"{prefix.upper()}_API_KEY", "x")
    settings.ASSISTANT_MODELS = [("All", f"{prefix}/*") for prefix in PREFIXES]
    settings.ASSISTANT_FALLBACK_MODELS = []
    settings.ASSISTANT_ESCALATION_MODEL = ""
    settings.ASSISTANT_RETRIES = 0
    return llama_server


@pytest.fixture
def adder(session, settings, monkeypatch):
    """Switches on a tool that adds."""
    service = Service("sums", title="Sums")

    @service.tool(title="Add", timeout=5)
    def add(a: int, b: int) -> str:
        """Adds two numbers."""
        return str(a + b)

    offer(settings, monkeypatch, service)
    session.services = ["sums"]
    session.save()


@pytest.fixture
def asked(llama, session, alice, worker, loop):
    def asked(question, model="openai/llama"):
        return run_to_the_end(loop, answer_of(ask(session, alice, question, model=model)), worker)

    return asked


async def all_of(model, question):
    async with aclosing(llm.stream(model, [{"role": "user", "content": question}])) as stream:
        return [piece async for piece in stream]


async def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, "It does not come about."
        await asyncio.sleep(0.01)


def shown(answer):
    text = live_text.read(answer.pk)
    return text.content if text else ""


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_answer_is_read_whole_with_its_figures_and_its_end(llama, loop, prefix):
    pieces = loop.run(all_of(f"{prefix}/llama", "Hello"))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == "A brief answer"
    assert [piece.reason for piece in pieces if isinstance(piece, Finish)] == ["stop"]
    figures = [piece.figures for piece in pieces if isinstance(piece, Usage)][-1]
    assert figures["completion_tokens"] == 4 and figures["prompt_tokens"] > 5


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_it_thinks_is_told_apart_from_its_answer(llama, loop, prefix):
    pieces = loop.run(all_of(f"{prefix}/llama", "Please think"))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Reasoning)).strip() == "hmm"
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)).strip() == "A brief answer"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_stream_that_is_closed_ends_the_server_s_work(llama, loop, prefix):
    async def scenario():
        async with aclosing(llm.stream(f"{prefix}/llama", [{"role": "user", "content": "Go on and on"}])) as stream:
            async for piece in stream:
                if isinstance(piece, Text) and "three" in piece.text:
                    break
            assert await asyncio.to_thread(llama.is_generating)
        await until(lambda: not llama.is_generating())

    loop.run(scenario())


@pytest.mark.django_db(transaction=True)
def test_stop_ends_the_server_s_work_and_keeps_what_was_said(llama, session, alice, worker, loop):
    answer = answer_of(ask(session, alice, "Go on and on", model="openai/llama"))

    async def stopped(turn):
        await until(lambda: "three" in shown(answer))
        assert llama.is_generating()
        await beside(asking.cancel, answer, alice)
        turn.stop(Stop.LOST)
        await until(lambda: not llama.is_generating())

    run_turn(loop, claimed(answer, worker), stopped)
    assert now(answer).status == "cancelled" and now(answer).content.startswith("one two three")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_tool_is_called_and_its_result_answered(adder, asked, prefix):
    ended = asked("Please add two and three", f"{prefix}/llama")
    assert (ended.status, ended.content) == ("success", "A brief answer")
    assert calls(ended) == [("add", "success")] and ToolCall.objects.get().result == "5"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_overflow_in_its_own_words_is_one(llama, loop, prefix):
    with pytest.raises(ModelError) as refused:
        loop.run(all_of(f"{prefix}/llama", "word " * 2000))
    assert refused.value.code == "context_overflow"


@pytest.mark.django_db(transaction=True)
def test_a_session_that_outgrows_it_is_summarised_by_it_and_goes_on(asked, session):
    for number in range(2):
        assert asked(f"Question {number}: {'word ' * 600}").status == "success"
    assert not Summary.objects.exists()
    ended = asked("word " * 600)
    assert (ended.status, ended.content) == ("success", "A brief answer")
    assert Summary.objects.get(session=session).content == "A brief answer"


@pytest.mark.django_db(transaction=True)
def test_after_a_failed_turn_a_strict_template_takes_the_next_question(asked, session, alice, worker):
    """Gemma's, Mistral's and Llama's templates raise where a person speaks twice in a row."""
    assert fail(claimed(answer_of(ask(session, alice, "Hello?")), worker))
    assert asked("Hello again").status == "success"
