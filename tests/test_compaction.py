"""A conversation that is too long for its model: the older part is summarised, and nothing is deleted."""

from __future__ import annotations

import asyncio

import pytest

from assistant import llm
from assistant.database import Database
from assistant.lifecycle import summaries
from assistant.lifecycle.joining import snapshot
from assistant.models import Summary
from assistant.tools import Service
from assistant.worker import compaction
from tests.acting import answer_of, ask, claimed, finish, kill, now
from tests.provider import expected_text
from tests.provider.valid import check_request
from tests.rounds import offer, run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]


@pytest.fixture
def provider(asked_here, settings):
    settings.ASSISTANT_RETRIES = 0
    return asked_here


@pytest.fixture
def told(session, alice, bob, worker):
    """A conversation of `count` questions and answers, each of `length` characters."""

    def told(count, length=200):
        for number in range(count):
            answer = answer_of(ask(session, (alice, bob)[number % 2], f"Question {number} {'?' * length}"))
            assert finish(claimed(answer, worker), f"Answer {number} {'!' * length}")

    return told


@pytest.fixture
def asked(session, alice, worker, loop):
    def asked(model, content="And now?"):
        answer = answer_of(ask(session, alice, content, model=model))
        run_turn(loop, claimed(answer, worker))
        return now(answer)

    return asked


def bodies(provider):
    return [request["body"] for request in provider.requests()]


def test_an_overflow_is_summarised_and_asked_again(provider, session, told, asked, frames):
    told(6)
    answer = asked("openai/words-context=2500")
    assert (answer.status, answer.content) == ("success", expected_text("openai/words", ""))
    summary = Summary.objects.get(session=session)
    refused, summarising, again = bodies(provider)
    assert "Question 0" in str(refused) and "Question 0" in str(summarising) and "Question 0" not in str(again)
    assert "Question 5" in str(again) and summary.content in again["messages"][0]["content"]
    assert "Alice" in str(summarising) or "alice" in str(summarising)
    for body in (refused, again):
        check_request(body)
    (frame,) = [frame for frame in frames if frame["type"] == "summary.created"]
    assert frame["summary"]["content"] == summary.content
    assert any("ummaris" in frame["text"] for frame in frames if frame["type"] == "message.turn_status")


def test_nothing_is_deleted_and_viewers_see_where_the_summary_stands(provider, session, alice, told, asked):
    told(6)
    before = set(session.messages.values_list("pk", "content"))
    asked("openai/words-context=2500")
    assert before <= set(session.messages.values_list("pk", "content"))
    (seen,) = snapshot(session.pk, alice)["summaries"]
    positions = set(session.messages.values_list("position", flat=True))
    assert seen["until_position"] in positions and seen["content"]


def test_a_second_overflow_summarises_more_and_a_third_is_the_end(provider, session, told, asked):
    told(8)
    answer = asked("openai/words-context")  # refused at any length
    assert (answer.status, answer.error_code) == ("error", "context_overflow")
    assert Summary.objects.count() == 0  # it refuses to summarise, too
    provider.reset()
    model = provider.script("twice", ["context", "words-n3", "context", "unicode-n10", "words"])
    answer = asked(model)
    assert answer.status == "success"
    assert Summary.objects.filter(session=session).count() == 2
    first, second = Summary.objects.order_by("until_position")
    assert first.content in str(bodies(provider)[3]), "the second is written with what the first stands for"
    final = bodies(provider)[4]
    assert second.content in final["messages"][0]["content"] and first.content not in final["messages"][0]["content"]


def test_a_third_overflow_is_the_end_though_it_could_be_summarised_more(provider, session, told, asked):
    told(8)
    model = provider.script("thrice", ["context", "words-n3", "context", "words-n4", "context", "words"])
    answer = asked(model)
    assert (answer.status, answer.error_code) == ("error", "context_overflow")
    assert Summary.objects.filter(session=session).count() == 2 and len(bodies(provider)) == 5


def test_later_answers_are_told_the_summary_too(provider, session, told, asked):
    told(6)
    asked("openai/words-context=2500")
    summary = Summary.objects.get()
    provider.reset()
    asked("openai/words", "And later?")
    (body,) = bodies(provider)
    assert summary.content in body["messages"][0]["content"] and "Question 0" not in str(body)


def test_a_retry_of_an_old_question_is_not_told_of_what_came_after_it(provider, session, told, asked, loop, worker):
    """A summary that reaches beyond the question would tell the answer's future."""
    from assistant.lifecycle import asking

    told(6)
    old = session.messages.filter(content__startswith="Question 1").get()
    asked("openai/words-context=2500")
    assert Summary.objects.get().until_position > old.position
    provider.reset()
    again = asking.retry(old, model="openai/words")
    run_turn(loop, claimed(again, worker))
    (body,) = bodies(provider)
    assert (
        "Question 0" in str(body) and "Question 2" not in str(body) and Summary.objects.get().content not in str(body)
    )


def test_a_part_that_is_itself_too_long_is_summarised_in_halves(provider, session, told, asked):
    told(12)
    answer = asked("openai/words-n2-context=1500")
    assert answer.status == "success"
    (summary, *_) = Summary.objects.order_by("until_position")
    assert summary.content.count(expected_text("openai/words-n2", "").strip()) >= 2


def test_a_worker_that_lost_its_turn_stores_no_summary(session, alice, told, worker):
    told(4)
    claim = claimed(answer_of(ask(session, alice, "And now?")), worker)
    part = summaries.part_to_summarise(claim, 0.5)
    assert part is not None
    kill(worker)
    from assistant.lifecycle import recovery

    recovery.sweep()
    assert not summaries.store(claim, part, "late", "test/model")
    assert summaries.part_to_summarise(claim, 0.5) is None and not Summary.objects.exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_part_ends_behind_a_whole_answer_and_before_the_question(session, alice, told, worker, share):
    told(4)
    claim = claimed(answer_of(ask(session, alice, "And now?")), worker)
    part = summaries.part_to_summarise(claim, share)
    count = {0.0: 1, 0.5: 2, 1.0: 4}[share]
    assert len(part.lines) == 2 * count
    last = session.messages.get(content__startswith=f"Answer {count - 1}")
    assert part.until_position == last.position


def test_there_is_nothing_to_summarise_before_the_first_question(provider, session, asked):
    answer = asked("openai/words-context", "A long question")
    assert answer.error_code == "context_overflow" and len(bodies(provider)) == 1


def test_near_a_known_limit_it_is_summarised_before_the_provider_refuses(provider, session, told, asked, monkeypatch):
    told(6)
    monkeypatch.setattr(llm, "limit", lambda model: 500)
    answer = asked("openai/words")
    assert answer.status == "success" and Summary.objects.count() == 1
    summarising, told_then = bodies(provider)
    assert "Question 0" in str(summarising) and "Question 0" not in str(told_then)


def test_far_from_the_limit_nothing_is_counted(loop, monkeypatch):
    monkeypatch.setattr(llm, "limit", lambda model: 1000)
    monkeypatch.setattr(llm, "count", None)
    messages = [{"role": "user", "content": "short"}]
    assert loop.run(compaction.is_near_limit("openai/words", messages)) is False


@pytest.mark.parametrize(("limit", "tokens"), [(None, 2_000), (8_000, 1_000), (1_000_000, 8_000)])
def test_a_summary_has_an_output_limit(provider, session, told, asked, monkeypatch, limit, tokens):
    monkeypatch.setattr(llm, "limit", lambda model: limit)
    told(6)
    asked("openai/words-context=2500")
    _, summarising, again = bodies(provider)
    asked_for = summarising.get("max_tokens") or summarising.get("max_completion_tokens")
    assert asked_for == tokens and "max_tokens" not in again


def test_a_summary_has_a_clock_of_its_own(session, alice, told, worker, loop, settings):
    settings.ASSISTANT_DEADLINE = 0.2
    told(2)
    claim = claimed(answer_of(ask(session, alice, "And now?")), worker)

    async def silent(model, messages, tools, parameters):
        await asyncio.Event().wait()
        yield llm.Text("never")

    async def scenario():
        database = Database("test")
        try:
            await compaction.compact(claim, "openai/words", silent, database, 0.5)
        finally:
            database.close(wait=True)

    with pytest.raises(llm.ModelError) as raised:
        loop.run(scenario())
    assert raised.value.code == "timeout" and not Summary.objects.exists()


def test_long_results_of_tools_are_shortened_where_they_do_not_fit(provider, session, asked, settings, monkeypatch):
    service = Service("bench", title="Bench", description="For tests.")

    @service.tool(title="Dump", timeout=5)
    def dump() -> str:
        """Says much."""
        return "a" * 20_000 + "b" * 20_000

    offer(settings, monkeypatch, service)
    session.services = ["bench"]
    session.save()
    model = provider.script("dumps", [{"tools": [{"name": "dump", "arguments": {}}]}, "context", "words"])
    answer = asked(model)
    assert answer.status == "success"
    _, refused, again = bodies(provider)
    (long,) = [line["content"] for line in refused["messages"] if line["role"] == "tool"]
    (short,) = [line["content"] for line in again["messages"] if line["role"] == "tool"]
    assert len(long) > 15_000 and len(short) < 2_100 and short.startswith("aaa")
    check_request(again)
