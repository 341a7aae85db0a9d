"""What becomes of odd streams in a whole turn: stored, told, and asked for once."""

from __future__ import annotations

import json

import pytest

from assistant.llm import fields
from assistant.models import ChatSession, ToolCall
from assistant.presentation.wire import message_json
from assistant.tools import Service
from assistant.worker import retries
from tests.acting import answer_of, ask, claimed, now
from tests.conformance.case import as_json, asked, call, ended, said, sse
from tests.conformance.playing import Answer
from tests.rounds import offer, run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]
WORDS = Answer(sse(said("Fine."), ended()))


@pytest.fixture
def answered(player, session, alice, worker, loop, settings, monkeypatch):
    """The answer to a question, when the server's answers are these."""
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("OPENAI_API_BASE", f"{player.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    settings.ASSISTANT_MODELS = [("All", "openai/*")]
    settings.ASSISTANT_FALLBACK_MODELS, settings.ASSISTANT_ESCALATION_MODEL = [], ""
    settings.ASSISTANT_RETRIES = 0

    def answered(*answers):
        player.load(*(Answer(one) if isinstance(one, bytes) else one for one in answers))
        answer = answer_of(ask(session, alice, model="openai/m"))
        run_turn(loop, claimed(answer, worker))
        return now(answer)

    return answered


def error(message, **more):
    return {"error": {"message": message, "type": "invalid_request_error"} | more}


@pytest.mark.parametrize(
    "body",
    [
        as_json(error("no\x00 such\ud83d thing", code="a\x00\ud83d"), status=400),
        as_json(error("no\x00 such\ud83d thing"), status=503),
        Answer(b"<html>no\x00 such\xed\xa0\xbd thing</html>", 502, "text/html"),
        sse(error("no\x00 such\ud83d thing")),
        as_json({"error": "no\x00 such\udc4b thing"}),
    ],
)
def test_an_error_that_no_database_stores_ends_the_turn_at_once_with_its_words(answered, player, body):
    answer = answered(body)
    assert (answer.status, answer.error_code, len(player.requests)) == ("error", "provider_error", 1)
    assert "no such" in answer.error_note and "\ufffd" in answer.error_note and "thing" in answer.error_note
    assert answer.is_bounced and "\x00" not in json.dumps(message_json(answer), default=str)


def test_a_call_that_no_database_stores_is_mended_and_run(answered, player, settings, monkeypatch):
    service = Service("sky", title="Sky", description="For tests.")

    @service.tool(title="Weather", timeout=5)
    def weather(city: str) -> str:
        """Tells the weather.

        city: which one
        """
        return f"Sun\x00 over {city}\ud83d."

    offer(settings, monkeypatch, service)
    ChatSession.objects.update(services=["sky"])
    fragment = call(0, "c\x00\ud83d", "wea\x00ther", '{"city": "Par\\u0000is\ud83d"}')
    answer = answered(sse(asked(fragment), ended("tool_calls")), WORDS)
    stored = ToolCall.objects.get(message_id=answer.pk)
    assert (answer.status, answer.content, len(player.requests)) == ("success", "Fine.", 2)
    assert (stored.call_id, stored.name, stored.status) == ("c\ufffd", "weather", "success")
    assert stored.result == "Sun over Paris\ufffd\ufffd."


def test_halves_of_characters_in_an_answer_are_replaced(answered):
    answer = answered(sse(said("One\x00 \ud83d"), said("two \ud83d"), said("\ude00"), ended()))
    assert (answer.status, answer.content) == ("success", "One \ufffdtwo 😀")


@pytest.mark.parametrize(
    "body", [Answer(b"<html>Sign in</html>", kind="text/html"), as_json({"detail": "Busy"}), b": nothing\n\n"]
)
def test_what_is_no_answer_is_asked_for_again_and_of_another_model(answered, player, settings, body):
    settings.ASSISTANT_RETRIES, settings.ASSISTANT_FALLBACK_MODELS = 1, ["openai/other"]
    answer = answered(body, body, WORDS)
    assert (answer.status, answer.content, answer.model) == ("success", "Fine.", "openai/other")
    assert [one["code"] for one in answer.tried] == ["provider_error"] * 2
    assert [request.body["model"] for request in player.requests] == ["m", "m", "other"]


def test_credit_that_is_used_up_is_said_and_nobody_is_told_to_try_again(answered, player, settings):
    settings.ASSISTANT_RETRIES = 2
    answer = answered(as_json({"error": {"message": "Insufficient Balance"}}, status=402))
    assert (answer.error_code, len(player.requests)) == ("out_of_credit", 1)
    assert "credit" in answer.error_detail and "again" not in answer.error_detail


def test_a_refusal_is_said_with_its_text(answered):
    answer = answered(sse(said("I won't. "), said("Sorry."), ended("refusal")))
    assert (answer.status, answer.error_code, answer.content) == ("error", "refusal", "I won't. Sorry.")
    assert "declined" in answer.error_detail


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("max_tokens", "output limit"), ("model_context_window_exceeded", "all that the model can read"),
        ("pause_turn", "paused"), (None, "cut off before its end"),
    ],
)  # fmt: skip
def test_a_cut_says_what_cut_it(answered, reason, words):
    answer = answered(sse(said("One two"), ended(reason)))
    assert (answer.status, answer.error_code, answer.content) == ("error", "incomplete_response", "One two")
    assert words in answer.error_detail


@pytest.mark.parametrize("reason", ["end_turn", "eos", "COMPLETE", "a word of tomorrow"])
def test_a_whole_answer_is_one_whatever_its_end_is_called(answered, reason):
    assert answered(sse(said("Fine."), ended(reason))).status == "success"


def test_a_wrong_setting_is_named_for_operators_alone(answered, monkeypatch, session, alice, worker, loop):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key\n")
    answer = answered(WORDS)
    assert "OPENAI_API_KEY" in answer.error_note and "OPENAI_API_KEY" not in answer.error_detail
    assert "administrator" in answer.error_detail and "again" not in answer.error_detail


def test_a_field_that_a_server_refuses_is_left_out_of_later_questions_for_a_while(answered, player, monkeypatch):
    refusal = as_json(error("Unrecognized request argument supplied: stream_options"), status=400)
    assert answered(refusal, WORDS).status == "success"
    assert ["stream_options" in request.body for request in player.requests] == [True, False]
    assert answered(WORDS).status == "success"
    assert ["stream_options" in request.body for request in player.requests] == [False]
    monkeypatch.setattr(fields, "KNOWN_SECONDS", -1.0)
    sent = {"model": "m", "stream_options": {}}
    fields.note("http://old", "m", "stream_options", "unknown")
    assert fields.known("http://old", "m", sent) == sent
