"""An answer that ends at a limit: at its people's own it is whole, and marked; at the model's it is cut, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from assistant.failures import CUTS
from assistant.models.message import Cut
from assistant.worker.verdict import LIMIT_TOO_LOW
from tests.acting import answer_of, ask
from tests.provider import ProviderProcess
from tests.rounds import run_to_the_end

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # litellm trips over its own libraries
]


@pytest.fixture
def answer(loop, asked_here: ProviderProcess, session, alice, worker):
    """What becomes of a question in a session with these parameters."""

    def answer(script: str, **parameters: Any) -> Any:
        session.parameters = parameters
        session.save()
        return run_to_the_end(loop, answer_of(ask(session, alice, model=f"openai/{script}")), worker)

    return answer


def told(frames: list[Any]) -> Any:
    """The answer as its viewers were told of it last."""
    return [frame["message"] for frame in frames if frame["type"] == "message.updated"][-1]


def test_an_answer_that_ends_at_its_peoples_own_limit_is_whole_and_marked(answer, frames):
    ended = answer("words-n5-finish=length-usage=70,20", max_tokens=20)
    assert (ended.status, ended.cut, ended.error_code, ended.content) == ("success", Cut.LIMIT, "", "w0 w1 w2 w3 w4")
    assert told(frames)["cut"] == "limit"


@pytest.mark.parametrize(("script", "parameters"), [
    ("words-n5-finish=length", {}),
    ("words-n5-finish=length-usage=70,100", {"max_tokens": 50_000}),  # the model's own is lower
])  # fmt: skip
def test_an_answer_that_ends_at_the_models_own_limit_is_cut_and_says_so(answer, script, parameters):
    ended = answer(script, **parameters)
    assert (ended.status, ended.cut, ended.error_code) == ("error", "", "incomplete_response")
    assert ended.error_detail == CUTS["length"] and ended.content == "w0 w1 w2 w3 w4"


def test_a_limit_that_thinking_has_used_up_is_no_answer(answer):
    ended = answer("words-n0-think=3-finish=length-usage=70,20", max_tokens=20)
    assert (ended.status, ended.error_code, ended.error_detail) == ("error", "incomplete_response", LIMIT_TOO_LOW)


def test_an_answer_that_ends_by_itself_has_no_mark(answer, frames):
    ended = answer("words-n5", max_tokens=20)
    assert (ended.status, ended.cut) == ("success", "") and told(frames)["cut"] is None
