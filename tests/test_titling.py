"""Automatic titles: the first question's words at once, the model's once it has answered, a person's for ever."""

import asyncio

import pytest

from assistant import llm
from assistant.database import Database
from assistant.lifecycle import session_changes, titling
from assistant.models import ChatSession, UsageRecord
from assistant.models.session import UNTITLED, TitledBy
from assistant.worker import title_requests
from assistant.worker.title_requests import TitleRequests, cleaned
from tests.acting import ask, claimed, fail, finish, now
from tests.calling import Caller
from tests.threads import LONG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(session, settings):
    settings.ASSISTANT_TITLES = True
    ChatSession.objects.filter(pk=session.pk).update(title=UNTITLED)
    session.refresh_from_db()
    return session


def title(session):
    session.refresh_from_db()
    return session.title, session.titled_by


def answered(session, alice, worker, model=""):
    """The claim of an answer that has ended well."""
    claim = claimed(ask(session, alice, "What is a lease?", model=model).reply, worker)
    assert finish(claim)
    return claim


@pytest.fixture
def entitle(provider, monkeypatch, settings):
    """Considers a title, as a runner does, and waits for what comes of it."""
    monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setattr(
        "assistant.worker.title_requests.TITLE_SECONDS", LONG_SECONDS
    )  # the first call loads a library
    settings.ASSISTANT_MODELS = [("Any", "openai/*")]
    provider.reset()

    def entitle(claim):
        async def scenario():
            database = Database("titles", threads=1)
            titles = TitleRequests(database)
            titles.consider(claim)
            await asyncio.gather(*titles._tasks)
            await llm.close()
            database.close(wait=True)

        asyncio.run(scenario())

    return entitle


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("What is a lease?", "What is a lease?"),
        ("\n\n  # A   heading\nand more", "A heading"),
        ("word " * 40, "word word word word word word word word word word word…"),
        ("x" * 100, "x" * 59 + "…"),
        ("  ", ""),
    ],
)
def test_the_first_words_are_a_title(said, title):
    assert titling.shortened(said) == title


def test_the_first_question_names_the_session_at_once_and_tells(session, alice, frames):
    ask(session, alice, "What is a lease?")
    assert title(session) == ("What is a lease?", TitledBy.WORDS)
    assert frames[-1]["session"]["title"] == "What is a lease?"
    ask(session, alice, "Something else")
    assert title(session)[0] == "What is a lease?"


def test_the_model_names_it_after_its_answer(session, alice, worker, entitle, provider):
    entitle(answered(session, alice, worker, "openai/words-n3"))
    assert title(session) == ("w0 w1 w2", TitledBy.MODEL)
    [request] = provider.requests("openai/words-n3")
    assert "What is a lease?" in request["question"]
    assert UsageRecord.objects.filter(session=session, user=alice).count() == 1, "it is counted"


def test_once_it_is_named_the_model_is_not_asked_again(session, alice, worker, entitle, provider):
    for _ in range(2):
        entitle(answered(session, alice, worker, "openai/words-n3"))
    assert len(provider.requests("openai/words-n3")) == 1


@pytest.mark.parametrize("when", ["before the question", "after it", "while the model is asked"])
def test_a_person_s_title_stays(session, alice, worker, entitle, monkeypatch, when):
    def name():
        session_changes.change(session, title="Ours")

    if when == "before the question":
        name()
    claim = answered(session, alice, worker, "openai/words-n3")
    if when == "after it":
        name()
    if when == "while the model is asked":
        give = titling.give
        monkeypatch.setattr(titling, "give", lambda *arguments: (name(), give(*arguments)))
    entitle(claim)
    assert title(session) == ("Ours", TitledBy.PERSON)


def test_a_title_given_at_the_making_stays_and_one_taken_back_is_made_anew(session, alice, settings):
    call = Caller(alice)
    made = ChatSession.objects.get(pk=call("post", "/sessions", {"title": "Ours"}).json()["id"])
    assert title(made) == ("Ours", TitledBy.PERSON)
    call("patch", f"/sessions/{made.pk}", {"title": " "})
    assert title(made) == (UNTITLED, TitledBy.NOBODY)
    ask(made, alice, "What is a lease?")
    assert title(made)[0] == "What is a lease?"


@pytest.mark.parametrize("model", ["openai/words-cut=1", "openai/error=500", "openai/words-n3-silence=1"])
def test_a_failure_leaves_the_words_and_is_tried_a_few_times(
    session, alice, worker, entitle, provider, model, settings
):
    settings.ASSISTANT_TIMEOUT = 0.5
    for _ in range(5):
        entitle(answered(session, alice, worker, model))
        assert title(session)[0] == "What is a lease?"
    assert len(provider.requests(model)) <= titling.MOST_TRIES


def test_nobody_is_asked_where_nobody_is_to_be(session, alice, worker, settings):
    failed = claimed(ask(session, alice).reply, worker)
    fail(failed)
    assert titling.begin(failed.message_id) is None
    claim = answered(session, alice, worker)
    settings.ASSISTANT_TITLES = False
    assert titling.begin(claim.message_id) is None
    settings.ASSISTANT_TITLES = True
    type(now(session.messages.first())).objects.filter(pk=claim.message_id).update(model="demo/assistant")
    assert titling.begin(claim.message_id) is None
    session.delete()
    assert titling.begin(claim.message_id) is None and not titling.give(session.pk, "x")


@pytest.mark.parametrize(
    ("reply", "title"),
    [
        ('"Leases and workers."', "Leases and workers"),
        ("Title: **Leases**\n\nHope this helps!", "Leases"),
        ("\n\n", ""),
        ("„Ärger“", "Ärger"),
        ("a\x00b", "ab"),
        ("\u202eevil\u202c \x1b[31mred\x07", "evil [31mred"),
        ("A 👩\u200d💻", "A 👩\u200d💻"),
        ("Fun \ud83d\ude00 \ud83d", "Fun 😀"),
    ],
)
def test_a_reply_is_made_a_title(reply, title):
    assert cleaned(reply) == title


def test_a_model_that_hangs_is_not_waited_for_by_all_who_come(session, alice, worker, monkeypatch):
    """Each ending brings one more to consider; without a bound they would pile up for as long as it hangs."""
    claim = answered(session, alice, worker)
    asked = []

    async def hangs(self, claim):
        asked.append(claim)
        await asyncio.sleep(3600)

    async def scenario():
        held = TitleRequests(None)
        monkeypatch.setattr(TitleRequests, "_entitle", hangs)
        for _ in range(title_requests.MOST_WAITING + 50):
            held.consider(claim)
        await asyncio.sleep(0)
        assert len(held._tasks) == len(asked) == title_requests.MOST_WAITING
        await held.close()
        assert not held._tasks

    asyncio.run(scenario())


def test_a_title_is_asked_for_with_an_output_limit(session, alice, worker, entitle, provider):
    entitle(answered(session, alice, worker, model="openai/words-n3"))
    (request,) = provider.requests()
    assert request["body"]["max_tokens"] == title_requests.MOST_TOKENS
