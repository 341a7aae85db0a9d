"""A long conversation is read by what the model can be told, newest first, in few queries; the rest is for a summary."""

from __future__ import annotations

import uuid

import pytest

from assistant import llm
from assistant.lifecycle import asking, summaries
from assistant.lifecycle.answering import AskedModels, Failure, fail
from assistant.lifecycle.text_columns import Written
from assistant.models import Message, Summary
from assistant.models.message import Claim, MessageRole, Status
from assistant.prompt import context, window
from assistant.worker import compaction
from assistant.worker.completion import Completion
from tests.acting import FAILURE, answer_of, ask, claimed, finish, now
from tests.provider.valid import check_request
from tests.rounds import run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]


@pytest.fixture
def told(session, alice, bob):
    """`told(count, letters)`: so many questions with their answers were said before, by Bob the first half of them."""

    def told(count, letters=100):
        rows = []
        for number in range(count):
            author = bob if number < count // 2 else alice
            question = Message(session=session, role=MessageRole.USER, author=author, status=Status.SUCCESS,
                               content=f"q{number} {'?' * letters}", position=2 * number + 2)  # fmt: skip
            answer = Message(session=session, role=MessageRole.ASSISTANT, reply_to=question, status=Status.SUCCESS,
                             content=f"a{number} {'!' * letters}", position=2 * number + 3)  # fmt: skip
            rows += [question, answer]
        Message.objects.bulk_create(rows, batch_size=5_000)
        session.last_position = 2 * count
        session.save()

    return told


@pytest.fixture
def claim(session, alice, worker):
    """Of the answer to one more question."""
    return lambda content="And now?": claimed(answer_of(ask(session, alice, content)), worker)


@pytest.fixture
def made(monkeypatch):
    """How many messages were made from rows."""
    found, made = Message.from_db.__func__, []

    def counted(cls, *args):
        made.append(cls)
        return found(cls, *args)

    monkeypatch.setattr(Message, "from_db", classmethod(counted))
    return made


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(window, "PAGES", (4, 8))
    monkeypatch.setattr(window, "AT_ONCE", 3)
    monkeypatch.setattr(window, "SHORT", 0)


def contents(prompt):
    return [line["content"].split()[0] for line in prompt.messages if line["role"] != "system"]


def system(prompt):
    return " ".join(line["content"] for line in prompt.messages if line["role"] == "system")


def test_of_however_many_messages_a_bounded_part_is_read(
    told, claim, made, monkeypatch, django_assert_max_num_queries
):
    monkeypatch.setattr(window, "PAGES", (10, 20, 30))
    told(300)
    held = claim()
    made.clear()
    with django_assert_max_num_queries(6):
        prompt = context.prompt_for(held)
    most = sum(window.PAGES)
    assert most - 10 < len(contents(prompt)) <= most + 1 and len(made) <= most + len(window.PAGES) + 5
    assert contents(prompt)[-2:] == ["a299", "alice:"] and "left out" in system(prompt)
    made.clear()
    with django_assert_max_num_queries(12):
        part = summaries.part_to_summarise(held, 0.5)
    assert len(made) <= 5 * most and part.lines[0] == summaries.NOT_READ
    assert len(part.lines) <= 3 * most and part.until_position > 600 - most


def test_what_fits_is_told_whole_however_it_is_read(told, claim, small_pages):
    told(5)
    prompt = context.prompt_for(claim())
    assert contents(prompt) == ["bob:", "a0", "bob:", "a1", "alice:", "a2", "alice:", "a3", "alice:", "a4", "alice:"]
    assert not prompt.is_cut and "left out" not in system(prompt)


def test_the_limit_of_the_model_ends_the_reading_at_a_question(told, claim, monkeypatch, small_pages):
    told(5, letters=1_000)
    monkeypatch.setattr(window, "SURE", 100)
    monkeypatch.setattr(llm, "limit", lambda model: 1_000)  # 3,400 letters: three and a bit
    prompt = context.prompt_for(claim())
    assert contents(prompt) == ["alice:", "a4", "alice:"] and prompt.is_cut
    assert "Several people" in system(prompt), "Bob has spoken too, though it is not told what"


def test_the_present_question_is_told_whatever_its_length(told, claim, monkeypatch, small_pages):
    told(5)
    monkeypatch.setattr(window, "SURE", 100)
    monkeypatch.setattr(llm, "limit", lambda model: 10)
    prompt = context.prompt_for(claim("x" * 5_000))
    assert len(contents(prompt)) == 1 and prompt.is_cut


def test_where_nobody_knows_the_limit_a_setting_says_how_much(told, claim, monkeypatch, settings, small_pages):
    told(5, letters=1_000)
    monkeypatch.setattr(window, "SURE", 100)
    monkeypatch.setattr(llm, "limit", lambda model: None)
    settings.ASSISTANT_HISTORY_TOKENS = 1_000
    assert contents(context.prompt_for(claim())) == ["alice:", "a4", "alice:"]


def test_a_short_session_is_read_at_once_however_often_it_was_answered(
    session, told, claim, django_assert_num_queries
):
    told(5)
    question = session.messages.get(content__startswith="q4")
    Message.objects.bulk_create(
        Message(session=session, role=MessageRole.ASSISTANT, reply_to=question, status=Status.SUCCESS, position=11,
                content=f"again{number}") for number in range(150)
    )  # fmt: skip
    held = claim()
    with django_assert_num_queries(2):
        prompt = context.prompt_for(held)
    assert contents(prompt)[-2:] == ["again149", "alice:"] and len(contents(prompt)) == 11


def test_a_short_history_asks_nobody_for_the_limit(told, claim, monkeypatch):
    told(20)
    monkeypatch.setattr(llm, "limit", None)
    assert len(contents(context.prompt_for(claim()))) == 41


def test_what_an_older_answer_took_along_is_left_out_with_it(session, told, claim, small_pages, monkeypatch, bob):
    told(7)
    taker = session.messages.get(content__startswith="a0")
    Message.objects.create(session=session, role=MessageRole.USER, author=bob, status=Status.SUCCESS, content="joined",
                           position=12, taken_by=taker, taken_round=1)  # fmt: skip
    prompt = context.prompt_for(claim())
    assert "joined" not in str(prompt.messages) and prompt.is_cut
    monkeypatch.setattr(window, "PAGES", (4, 20))
    answer = session.messages.running().get()
    prompt = context.prompt_for(Claim(answer.pk, session.pk, answer.worker_id, answer.attempt))
    assert [line["content"] for line in prompt.messages if "joined" in str(line["content"])] == ["bob: joined"]


def test_of_several_answers_the_newest_with_text_is_told_wherever_a_page_ends(
    session, alice, claim, worker, small_pages
):
    for number in range(4):
        sent = ask(session, alice, f"q{number}")
        finish(claimed(answer_of(sent), worker), f"old{number}")
        finish(claimed(asking.retry(now(sent.reply)), worker), f"new{number}")
        fail(claimed(asking.retry(now(sent.reply)), worker), Written("", 0), FAILURE)
    assert contents(context.prompt_for(claim())) == ["q2", "new2", "q3", "new3", "And"]


# --- what is left out is summarised ---


def test_after_failures_of_every_kind_the_next_question_is_told_as_any(session, alice, asked_here, asked):
    """One bounces, one is cut, one says nothing: strict templates refused each later question of such a session."""
    for model in ("openai/status=503", "openai/words-n4-cut=2", "openai/empty", "openai/words"):
        asked(model, f"And {model}?")
    body = bodies(asked_here)[-1]
    check_request(body)
    assert "503" not in str(body["messages"]) and "cut=2" in str(body["messages"])


@pytest.fixture
def asked(session, alice, worker, loop, asked_here, settings):
    """`asked(model)`: one more question, answered."""
    settings.ASSISTANT_RETRIES = 0

    def asked(model, content="And now?"):
        answer = answer_of(ask(session, alice, content, model=model))
        run_turn(loop, claimed(answer, worker))
        return now(answer)

    return asked


def bodies(provider):
    return [request["body"] for request in provider.requests()]


def test_what_does_not_fit_is_summarised_before_the_question_is_asked(asked_here, told, asked, small_pages):
    told(20)
    assert asked("openai/words").status == "success"
    summarising, asking_ = bodies(asked_here)
    assert "q19" in str(asking_) and "q0 " not in str(summarising), "bounded: what is left out is read in part"
    assert summaries.NOT_READ in str(summarising)
    summary = Summary.objects.get()
    assert summary.content in asking_["messages"][0]["content"] and "left out" not in str(asking_)
    check_request(asking_)
    asked_here.reset()
    asked("openai/words", "And later?")
    (body,) = bodies(asked_here)
    assert summary.content in str(body)


def test_without_a_summary_the_question_is_asked_and_says_that_something_is_missing(
    asked_here, told, asked, small_pages
):
    told(20)
    answer = asked(asked_here.script("no-summary", ["status=500", "words"]))
    assert answer.status == "success" and not Summary.objects.exists()
    assert "left out" in bodies(asked_here)[-1]["messages"][0]["content"]


def test_a_part_reaches_from_the_last_summary_to_half_of_what_is_told(session, told, claim, small_pages):
    told(9)
    held = claim()
    Summary.objects.create(session=session, until_position=7, content="Before.", model="m")
    part = summaries.part_to_summarise(held, 0.5)
    told_now = len(contents(context.prompt_for(held)))
    assert part.previous == "Before." and part.lines[0].startswith("bob: q3")
    assert told_now == 11, "the window has room for six exchanges at most"
    assert part.until_position == 2 * 5 + 3 + 2


# --- a question that went back to its author ---


def bounce(claim):
    asked = AskedModels("test/model", [], is_heard=False)
    assert fail(claim, Written("", 0), Failure("provider_error", "Down."), None, asked)


def test_a_question_that_went_back_to_its_author_is_not_told_again(session, alice, claim, worker):
    first = ask(session, alice, "1")
    bounce(claimed(answer_of(first), worker))
    assert now(first.reply).is_bounced
    assert contents(context.prompt_for(claim("2"))) == ["2"]


def test_it_is_told_while_it_is_asked_again_and_once_it_was_answered(session, alice, claim, worker):
    first = ask(session, alice, "1")
    bounce(claimed(answer_of(first), worker))
    again = claimed(asking.retry(now(first.reply)), worker)
    assert contents(context.prompt_for(again)) == ["1"]
    finish(again, "one")
    assert contents(context.prompt_for(claim("2"))) == ["1", "one", "2"]


def test_a_new_try_that_bounced_takes_nothing_from_what_was_answered(session, alice, claim, worker):
    first = ask(session, alice, "1")
    finish(claimed(answer_of(first), worker), "one")
    bounce(claimed(asking.retry(now(first.reply)), worker))
    assert contents(context.prompt_for(claim("2"))) == ["1", "one", "2"]


def test_a_question_whose_answer_failed_in_the_middle_stays(session, alice, claim, worker):
    fail(claimed(answer_of(ask(session, alice, "1")), worker), Written("", 0), FAILURE)
    assert contents(context.prompt_for(claim("2"))) == ["1", "2"]


def test_it_is_caught_up_once_in_a_turn(loop, monkeypatch):
    """A summary that fails is not tried again for each round of tools."""
    tried = []

    async def compact(*args):
        tried.append(args)
        raise llm.ModelError("provider_error", "down")

    class Source:
        model, is_heard, tried = "m", False, ()

        async def stream(self, messages, **_):
            yield llm.Text("So.")

    async def show(text): ...

    monkeypatch.setattr(compaction, "compact", compact)
    monkeypatch.setattr(llm, "limit", lambda model: None)

    async def scenario():
        completion = Completion(Claim(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), 1), None, show)
        completion._policy = Source()
        prompt = context.Prompt("m", [{"role": "user", "content": "?"}], None, is_cut=True)
        for _ in range(3):
            assert [piece async for piece in completion.pieces(prompt, (), is_last=False)] == [llm.Text("So.")]

    loop.run(scenario())
    assert len(tried) == 1
