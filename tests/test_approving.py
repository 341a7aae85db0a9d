"""A call that needs somebody's approval: the answer waits without a worker, survives everything, and then goes on."""

import asyncio

import pytest

from assistant.lifecycle import approving, asking, recovery, rounds
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.models import ToolCall
from assistant.presentation.wire import message_json
from tests.acting import answer_of, ask, claimed, jobs, kill, now
from tests.provider.valid import check_request
from tests.rounds import beside, calls, offer, run_to_the_end, run_turn
from tests.test_rounds import bench, ran  # noqa: F401  (the tools)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # litellm trips over its own libraries'
]


@pytest.fixture
def room(session, provider, bench, settings, monkeypatch):  # noqa: F811
    offer(settings, monkeypatch, bench)
    settings.ASSISTANT_MODELS = [("All", "openai/*"), ("Any", "openai/words")]
    monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    provider.reset()
    session.services = ["bench"]
    session.save()
    return session


@pytest.fixture
def parked(room, alice, worker, loop):
    """An answer that waits for somebody to allow its call, and has done the other one."""
    model = "openai/results-preamble=2-tool=wipe:what:Home-tool=weather:city:Rome"
    return run_to_the_end(loop, answer_of(ask(room, alice, "Clean up", model=model)), worker)


def wipe():
    return ToolCall.objects.select_related("message").get(name="wipe")


def test_it_waits_without_a_worker_and_a_job_and_counts_as_alive(parked, ran):  # noqa: F811
    assert (parked.status, parked.worker_id, parked.job, parked.is_parked) == ("pending", None, None, True)
    assert calls(parked) == [("wipe", "pending"), ("weather", "success")] and ran == [("weather", "Rome", 1)]
    assert parked.is_alive() and recovery.stuck_answers() == [] and recovery.sweep() == {}
    shown = message_json(parked)
    assert shown["alive"] and shown["tool_calls"][0]["approval"] == "asked"
    assert jobs() == []


def test_allowed_it_goes_on_in_a_fresh_job(parked, alice, worker, loop, ran, provider, frames):  # noqa: F811
    shown = approving.decide(wipe(), alice, allow=True)
    assert jobs() == [str(parked.pk)] and not shown.is_parked and shown.is_alive()
    assert [frame["tool_calls"][0]["approval"] for frame in frames if frame["type"] == "message.tool_calls"] == [
        "allowed"
    ]
    ended = run_to_the_end(loop, parked, worker)
    assert ran == [("weather", "Rome", 1), ("wipe", "Home")]
    assert ended.content == "w0 w1\n\nHome is gone.\nSunny in Rome" or ended.content.endswith("Sunny in Rome")
    assert wipe().decided_by == alice
    for request in provider.requests():
        check_request(request["body"])
    assert len(provider.requests()) == 2, "the model is asked once for each round"


def test_denied_the_model_is_told_so_and_nothing_is_run(parked, bob, worker, loop, ran, provider):  # noqa: F811
    approving.decide(wipe(), bob, allow=False)
    ended = run_to_the_end(loop, parked, worker)
    assert ended.status == "success" and ("wipe", "Home") not in ran
    assert (wipe().status, wipe().approval, wipe().decided_by) == ("cancelled", "denied", bob)
    told = [line["content"] for line in provider.requests()[-1]["body"]["messages"] if line["role"] == "tool"]
    assert "did not allow" in told[0]


def test_the_first_decision_counts(parked, alice, bob):
    approving.decide(wipe(), alice, allow=False)
    for allow in (True, False):
        with pytest.raises(Refused, match="already"):
            approving.decide(wipe(), bob, allow=allow)
    assert jobs() == [str(parked.pk)], "one job"


def test_a_stop_reaches_it_while_it_waits(parked, alice):
    asking.cancel(parked, alice)
    assert (now(parked).status, calls(parked)) == ("cancelled", [("wipe", "cancelled"), ("weather", "success")])
    with pytest.raises(Refused, match="already"):
        approving.decide(wipe(), alice, allow=True)
    assert jobs() == []


def test_with_two_calls_to_decide_it_goes_on_after_the_second(room, alice, worker, loop, ran):  # noqa: F811
    model = "openai/results-tool=wipe:what:A-tool=wipe:what:B"
    answer = run_to_the_end(loop, answer_of(ask(room, alice, model=model)), worker)
    first, second = ToolCall.objects.select_related("message").in_order()
    approving.decide(second, alice, allow=True)
    assert jobs() == [] and now(answer).is_parked and now(answer).is_alive()
    approving.decide(first, alice, allow=False)
    ended = run_to_the_end(loop, answer, worker)
    assert ran == [("wipe", "B")] and ended.status == "success"


def test_what_is_decided_before_it_is_parked_is_not_waited_for(room, alice, worker):
    claim = claimed(answer_of(ask(room, alice)), worker)
    assert rounds.open_round(
        claim, Written("", 0), 1, [rounds.NewCall("c", "wipe", "{}", "Wipe", needs_approval=True)]
    )
    approving.decide(wipe(), alice, allow=True)
    assert rounds.park(claim, Written("", 0)) is False, "go on"
    assert now(wipe().message).status == "processing" and jobs() == []


def test_a_decision_while_other_calls_still_run_is_acted_on_at_once(room, alice, worker, loop, ran):  # noqa: F811
    answer = answer_of(ask(room, alice, model="openai/results-tool=wipe:what:A-tool=meet-tool=meet"))

    async def allow_it(turn):
        while not await beside(ToolCall.objects.filter(name="wipe").exists):
            await asyncio.sleep(0.01)
        await beside(lambda: approving.decide(wipe(), alice, allow=True))

    run_turn(loop, claimed(answer, worker), allow_it)
    ended = run_to_the_end(loop, answer, worker)
    assert ended.status == "success" and ("wipe", "A") in ran


def test_a_parked_answer_whose_job_after_the_decision_is_lost_is_recovered(parked, alice, worker):
    from django_q.models import OrmQ

    approving.decide(wipe(), alice, allow=True)
    OrmQ.objects.all().delete()
    assert not now(parked).is_alive() and recovery.sweep() == {"recovered": 1}
    assert jobs() == [str(parked.pk)]


def test_the_worker_may_die_before_it_has_parked(room, alice, worker):
    claim = claimed(answer_of(ask(room, alice)), worker)
    assert rounds.open_round(
        claim, Written("", 0), 1, [rounds.NewCall("c", "wipe", "{}", "Wipe", needs_approval=True)]
    )
    kill(worker)
    assert recovery.sweep() == {"recovered": 1}
    assert wipe().approval == "asked" and wipe().status == "pending"


def test_a_message_sent_meanwhile_waits_in_the_queue(parked, room, alice, bob, worker, loop):
    later = ask(room, bob, "And then?", model="openai/words-n1")
    assert later.reply is None
    approving.decide(wipe(), alice, allow=False)
    run_to_the_end(loop, parked, worker)
    assert now(later.message).status == "success"


def test_nobody_is_asked_to_allow_what_can_not_be_run(room, alice, worker, loop):
    ended = run_to_the_end(loop, answer_of(ask(room, alice, model="openai/results-tool=wipe:what:A-badargs")), worker)
    assert ended.status == "success" and calls(ended) == [("wipe", "error")]
