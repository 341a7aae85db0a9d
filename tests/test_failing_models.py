"""A turn whose models fail: what is stored of it, what the viewers are told, who gets the question back."""

from __future__ import annotations

import pytest

from assistant.llm.errors import NOT_REACHED
from assistant.models import UsageRecord
from assistant.presentation.wire import message_json
from assistant.worker import retries
from tests.acting import answer_of, ask, claimed, now
from tests.product import free_port
from tests.provider import expected_text
from tests.rounds import run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]
WORDS = expected_text("openai/words", "")


@pytest.fixture
def provider(asked_here, settings, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)
    settings.ASSISTANT_RETRIES = 2
    return asked_here


@pytest.fixture
def answered(provider, session, alice, worker, loop):
    def answered(model, question="Hello"):
        answer = answer_of(ask(session, alice, question, model=model))
        run_turn(loop, claimed(answer, worker))
        return now(answer)

    return answered


def told(frames, type_):
    return [frame for frame in frames if frame["type"] == type_]


def test_a_busy_provider_is_asked_again_and_the_viewers_see_why_they_wait(answered, frames):
    answer = answered("openai/words-429-fails=2")
    assert (answer.status, answer.content, answer.error_code) == ("success", WORDS, "")
    waits = told(frames, "message.turn_status")
    assert len(waits) == 2 and all(
        "busy" in frame["text"] and frame["message_id"] == str(answer.pk) for frame in waits
    )


def test_each_request_in_vain_stands_in_the_ledger(answered):
    answer = answered("openai/words-503-fails=2")
    rows = UsageRecord.objects.filter(message_id=answer.pk).values_list("error_code", flat=True)
    assert sorted(rows) == ["", "provider_error", "provider_error"]


def test_what_was_tried_and_what_answered_is_stored_and_told(answered, settings, frames):
    settings.ASSISTANT_FALLBACK_MODELS = ["openai/words-n3"]
    answer = answered("openai/words-401")
    data = message_json(answer)
    assert data["model"] == "openai/words-n3"
    assert [(one["model"], one["code"]) for one in data["tried"]] == [("openai/words-401", "auth")]
    assert "openai/words-n3" in told(frames, "message.turn_status")[0]["text"]


def test_a_question_that_no_model_got_goes_back_to_who_asked(answered):
    answer = answered("openai/words-500")
    assert answer.status == "error" and answer.is_bounced
    assert message_json(answer)["error"]["bounced"] is True


@pytest.mark.parametrize("model", ["openai/words-cut=3", "openai/words-finish=length", "openai/empty"])
def test_a_question_that_a_model_got_does_not_go_back(answered, model):
    answer = answered(model)
    assert answer.status == "error" and not answer.is_bounced


def test_an_operator_reads_which_key_was_refused_and_nobody_reads_the_key(answered, admin_client):
    answer = answered("openai/words-401")
    assert "administrator" in answer.error_detail and "OPENAI_API_KEY" not in answer.error_detail
    assert "OPENAI_API_KEY" in answer.error_note and "sk-very-secret" not in answer.error_note
    assert answer.error_note not in str(message_json(answer))
    page = admin_client.get(f"/admin/assistant/message/{answer.pk}/change/").content.decode()
    assert "OPENAI_API_KEY" in page


def test_an_operator_reads_which_key_is_missing(answered, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    answer = answered("openai/words")
    assert answer.error_code == "auth" and "OPENAI_API_KEY" in answer.error_note


@pytest.mark.parametrize("lane", [True, False], ids=["fast", "litellm's"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # litellm's own
def test_a_server_that_does_not_run_is_told_from_one_that_has_a_problem(answered, settings, monkeypatch, lane):
    """A newcomer's first trouble: Ollama isn't started."""
    monkeypatch.setenv("OPENAI_API_BASE", f"http://127.0.0.1:{free_port()}/v1")
    settings.ASSISTANT_FAST_LANE = lane
    settings.ASSISTANT_RETRIES = 0
    answer = answered("openai/words")
    assert (answer.error_code, answer.error_detail) == ("provider_error", NOT_REACHED) and answer.is_bounced
