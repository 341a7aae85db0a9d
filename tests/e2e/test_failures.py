"""Every way in which a model fails has its category and its sentence; what was written is kept; a retry works."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from assistant.failures import CUTS, SENTENCES
from assistant.llm.errors import NOT_REACHED
from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product, running

pytestmark = pytest.mark.long

KEY = "sk-secret-4f1d9c"
NEVER_SHOWN = (
    "litellm",
    "openai.com",
    "exception",
    "traceback",
    "sk-",
    "127.0.0.1",
    "nginx",
    "rpm",
    "azure",
    "<html",
)

# the script, its category, how many of the words are kept
FAILURES = [
    ("words-silence=5", "timeout", 5),
    ("words-hang", "timeout", 0),
    ("words-cut=5", "provider_error", 5),
    ("words-cut=0", "provider_error", 0),
    ("words-reset=5", "provider_error", 5),
    ("words-error=5", "provider_error", 5),
    ("words-bad=5", "provider_error", 5),
    ("words-400", "provider_error", 0),
    ("words-401", "auth", 0),
    ("words-403", "auth", 0),
    ("words-404", "invalid_model", 0),
    ("words-429", "rate_limited", 0),
    ("words-quota", "out_of_credit", 0),
    ("words-500", "provider_error", 0),
    ("words-502", "provider_error", 0),
    ("words-503", "provider_error", 0),
    ("words-context", "context_overflow", 0),
    ("words-filter", "content_filtered", 0),
    ("words-policy", "content_filtered", 0),
    ("words-finish=content_filter", "content_filtered", 20),
    ("words-finish=length", "incomplete_response", 20),
    ("words-finish=none", "incomplete_response", 20),
    ("words-finish=none-nodone", "incomplete_response", 20),
]


@pytest.fixture(scope="module")
def product(provider: ProviderProcess) -> Iterator[Product]:
    with running(
        provider, ASSISTANT_TIMEOUT="2", ASSISTANT_DEADLINE="6", ASSISTANT_RETRIES="0", OPENAI_API_KEY=KEY
    ) as process:
        yield process


@pytest.fixture(scope="module")
def alice(product: Product) -> Iterator[Person]:
    (person,) = product.people("alice")
    with person:
        yield person


def assert_shows_nothing_raw(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).lower()
    assert KEY not in text and not [word for word in NEVER_SHOWN if word in text], text


@pytest.mark.parametrize(("script", "code", "kept"), FAILURES, ids=[f[0] for f in FAILURES])
def test_a_failure_is_told_and_a_retry_answers(alice: Person, script: str, code: str, kept: int) -> None:
    model = tagged(f"{script}-fails=1")
    partial = expected_text(f"words-n{kept}") if kept else ""
    session = alice.new_session(model)
    with alice.view(session) as viewer:
        answer = alice.asked(session, "Why?")
        failed = viewer.wait_for_end(answer)
        assert (failed["status"], failed["content"]) == ("error", partial)
        detail = CUTS["length"] if "finish=length" in script else SENTENCES[code]
        assert failed["error"] == {"code": code, "detail": detail, "bounced": not kept}
        assert viewer.view.endings[answer].text == partial, "the partial text was to be shown before the error"
        stored = alice.message(answer)
        assert (stored["error"], stored["content"], stored["alive"]) == (failed["error"], partial, False)
        assert_shows_nothing_raw(
            [failed["error"], failed["html"], stored["error"], alice.messages(session)[1]["error"]]
        )

        retried = viewer.wait_for_end(alice.retry(answer))
        assert (retried["status"], retried["content"]) == ("success", expected_text("words"))
        assert retried["reply_to"] == failed["reply_to"] and retried["position"] == failed["position"]
        assert viewer.view.messages[answer]["error"]["code"] == code, "the failed version stays as it was"


@pytest.mark.parametrize("script", ["empty", "blank"])
def test_an_answer_without_a_letter_is_a_failure(alice: Person, script: str) -> None:
    answer = alice.asked(alice.new_session(), model=tagged(script))
    failed = alice.wait_for_end(answer)
    assert failed["error"] == {"code": "empty_response", "detail": SENTENCES["empty_response"], "bounced": False}
    assert (failed["status"], failed["content"]) == ("error", "")


def test_a_stream_that_forgets_its_last_line_is_an_answer(alice: Person) -> None:
    answer = alice.wait_for_end(alice.asked(alice.new_session(), model=tagged("words-nodone")))
    assert (answer["status"], answer["content"]) == ("success", expected_text("words"))


def test_an_answer_that_never_ends_meets_the_deadline(provider: ProviderProcess, alice: Person) -> None:
    model = tagged("words-n1000-rate=10")
    session = alice.new_session(model)
    with alice.view(session) as viewer:
        failed = viewer.wait_for_end(alice.asked(session))
        assert failed["status"] == "error" and failed["error"]["code"] == "timeout"
        assert "6 seconds" in failed["error"]["detail"]
        assert failed["content"] and expected_text(model).startswith(failed["content"])
        assert viewer.view.endings[failed["id"]].text == failed["content"]
    provider.wait_for(lambda p: p.requests(model)[0]["ended"] == "disconnected")


def test_a_provider_that_is_away_is_a_failure_of_the_provider(alice: Person) -> None:
    with ProviderProcess() as gone:
        base = gone.base_url
    with running(None, OPENAI_API_BASE=base, OPENAI_API_KEY=KEY) as product:
        (bob,) = product.people("bob")
        with bob:
            failed = bob.wait_for_end(bob.asked(bob.new_session()))
        told = {"code": "provider_error", "detail": NOT_REACHED, "bounced": True}
        assert failed["error"] == told


def test_a_failure_leaves_the_next_question_answerable(alice: Person) -> None:
    session = alice.new_session()
    alice.wait_for_end(alice.asked(session, model=tagged("words-500")))
    answer = alice.wait_for_end(alice.asked(session, model=tagged("words-n3")))
    assert answer["content"] == expected_text("words-n3")


def test_the_log_names_the_category_and_no_secret(product: Product, alice: Person) -> None:
    answer = alice.asked(alice.new_session(), model=tagged("words-401"))
    alice.wait_for_end(answer)
    product.wait_for(lambda: any(answer in line and "auth" in line for line in product.said))
    product.wait_for(lambda: any("_converse" in line for line in product.said))  # the stack
    assert KEY not in "".join(product.said)
