"""A call that needs somebody's approval: the answer waits without a worker, survives everything, and then goes on."""

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone

from assistant.lifecycle import approving, asking, call_endings, endings, recovery, rounds
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.llm import ToolCall as AskedCall
from assistant.models import ToolCall
from assistant.presentation.wire import message_json
from assistant.text.arguments import arguments_of
from assistant.toolbox import registry
from assistant.worker.tool_execution import new_call
from tests.acting import a_room, answer_of, ask, claimed, jobs, kill, now
from tests.calling import Caller
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
    shown = approving.allow(wipe(), alice)
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
    approving.deny(wipe(), bob)
    ended = run_to_the_end(loop, parked, worker)
    assert ended.status == "success" and ("wipe", "Home") not in ran
    assert (wipe().status, wipe().approval, wipe().decided_by) == ("cancelled", "denied", bob)
    told = [line["content"] for line in provider.requests()[-1]["body"]["messages"] if line["role"] == "tool"]
    assert "did not allow" in told[0]


def test_why_it_is_denied_the_model_is_told_and_people_see(parked, bob, worker, loop, ran, provider):  # noqa: F811
    shown = message_json(approving.deny(wipe(), bob, " Ask Carol first.\x00 "))
    call = shown["tool_calls"][0]
    assert (call["status"], call["summary"]) == ("cancelled", "Ask Carol first.") and call["result"].endswith(
        "first."
    )
    run_to_the_end(loop, parked, worker)
    told = [line["content"] for line in provider.requests()[-1]["body"]["messages"] if line["role"] == "tool"]
    assert "did not allow" in told[0] and "Ask Carol first." in told[0] and ("wipe", "Home") not in ran


def test_it_runs_with_what_somebody_made_of_the_arguments(parked, bob, worker, loop, ran, provider):  # noqa: F811
    call = message_json(approving.allow(wipe(), bob, '{"what": "Attic"}'))["tool_calls"][0]
    assert (call["arguments"], call["original_arguments"]) == ('{"what": "Attic"}', '{"what": "Home"}')
    ended = run_to_the_end(loop, parked, worker)
    assert ended.status == "success" and ("wipe", "Attic") in ran and ("wipe", "Home") not in ran
    body = provider.requests()[-1]["body"]
    check_request(body)
    asked = [c["function"]["arguments"] for line in body["messages"] for c in line.get("tool_calls", ())]
    assert '{"what": "Home"}' in asked, "what the model wrote stays its own"
    told = [line["content"] for line in body["messages"] if line["role"] == "tool"]
    assert "changed the arguments" in told[0] and "Attic" in told[0] and told[0].endswith("Attic is gone.")


@pytest.mark.parametrize(
    "arguments", ["", "[1]", "{", '{"what": "A", "what": "B"}', '{"what": NaN}', " ", "x" * 100_001]
)
def test_what_no_tool_could_be_run_with_is_refused_and_decides_nothing(parked, bob, arguments):
    with pytest.raises(Refused) as refused:
        approving.allow(wipe(), bob, arguments)
    assert refused.value.code == "invalid_arguments" and refused.value.status == 422
    assert wipe().approval == "asked" and jobs() == []


@pytest.mark.parametrize("same", ['{"what": "Home"}', '{"what":"Home"}', '{ "what" : "Home" }'])
def test_the_same_arguments_again_change_nothing(parked, bob, same):
    call = message_json(approving.allow(wipe(), bob, same))["tool_calls"][0]
    assert call["original_arguments"] is None


def test_a_changed_call_that_is_interrupted_says_what_it_was_run_with(parked, bob):
    approving.allow(wipe(), bob, '{"what": "Attic"}')
    ToolCall.objects.filter(name="wipe").update(status="running")
    call_endings.inherit_calls(now(parked))
    assert wipe().status == "interrupted" and '{"what": "Attic"}' in wipe().result


def test_one_call_that_can_t_be_denied_keeps_no_other_from_it(parked, room, bob, worker, loop, settings, monkeypatch):
    settings.ASSISTANT_APPROVAL_TIMEOUT = 60
    ToolCall.objects.filter(name="wipe").update(created_at=timezone.now() - timedelta(hours=1))
    good = ToolCall.objects.create(
        message=answer_of(ask(a_room(bob), bob)),
        round=1,
        place=0,
        at=0,
        name="wipe",
        arguments="{}",
        approval="asked",
    )
    ToolCall.objects.filter(pk=good.pk).update(created_at=timezone.now() - timedelta(minutes=30))
    give_back = endings.give_back

    def broken(message):
        if message.pk == parked.pk:
            raise ValueError("a bad row")
        give_back(message)

    monkeypatch.setattr(endings, "give_back", broken)
    assert approving.expire() == 1
    good.refresh_from_db()
    assert good.approval == "denied"


def test_a_decision_takes_no_more_than_it_knows(parked, alice):
    """An unknown field is no decision: the old arguments would run."""
    path = f"/tool-calls/{wipe().pk}"
    for verb, body in (("approve", {"argument": {}}), ("approve", {"reason": "x"}), ("deny", {"why": "x"})):
        assert Caller(alice)("post", f"{path}/{verb}", body).status_code == 422
    assert wipe().approval == "asked"
    refused = Caller(alice)("post", f"{path}/approve", {"arguments": "[]"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments")
    allowed = Caller(alice)("post", f"{path}/approve", {"arguments": {"what": "Cellar"}})
    assert allowed.status_code == 200 and wipe().changed_arguments == '{"what": "Cellar"}'


@pytest.mark.parametrize("verb", ["approve", "deny"])
@pytest.mark.parametrize("body", [None, {}])
def test_a_decision_needs_no_body(parked, alice, verb, body):
    assert Caller(alice)("post", f"/tool-calls/{wipe().pk}/{verb}", body).status_code == 200
    assert wipe().approval == ("allowed" if verb == "approve" else "denied")


def test_arguments_with_a_name_twice_are_not_asked_for_and_not_run(room):
    """People might be shown one of the two values, and the tool be given the other."""
    tools = {tool.offered.name: tool.offered for tool in registry.services()["bench"].tools}
    assert new_call(AskedCall("c", "wipe", '{"what": "A"}'), tools).needs_approval
    for written in ('{"what": "A", "what": "B"}', '{"what": {"in": 1, "in": 2}}'):
        assert not new_call(AskedCall("c", "wipe", written), tools).needs_approval and arguments_of(written) is None


def test_what_nobody_decides_in_time_is_denied_and_the_answer_goes_on(
    parked,
    bob,
    worker,
    loop,
    ran,  # noqa: F811
    provider,
    settings,
):
    assert approving.expire() == 0, "by itself it waits for ever"
    assert message_json(now(parked))["tool_calls"][0]["expires_at"] is None
    settings.ASSISTANT_APPROVAL_TIMEOUT = 3600
    ToolCall.objects.filter(name="wipe").update(created_at=timezone.now() - timedelta(seconds=3500))
    assert approving.expire() == 0 and wipe().approval == "asked"
    assert message_json(now(parked))["tool_calls"][0]["expires_at"], "who comes later is told too"
    ToolCall.objects.filter(name="wipe").update(created_at=timezone.now() - timedelta(seconds=3700))
    assert approving.expire() == 1
    assert (wipe().status, wipe().approval, wipe().decided_by) == ("cancelled", "denied", None)
    with pytest.raises(Refused, match="already"):
        approving.allow(wipe(), bob)
    ended = run_to_the_end(loop, parked, worker)
    assert ended.status == "success" and ("wipe", "Home") not in ran
    told = [line["content"] for line in provider.requests()[-1]["body"]["messages"] if line["role"] == "tool"]
    assert "did not decide in time" in told[0]


def test_the_first_decision_counts(parked, alice, bob):
    approving.deny(wipe(), alice)
    for decide in (approving.allow, approving.deny):
        with pytest.raises(Refused, match="already"):
            decide(wipe(), bob)
    assert jobs() == [str(parked.pk)], "one job"


def test_a_stop_reaches_it_while_it_waits(parked, alice):
    asking.cancel(parked, alice)
    assert (now(parked).status, calls(parked)) == ("cancelled", [("wipe", "cancelled"), ("weather", "success")])
    with pytest.raises(Refused, match="already"):
        approving.allow(wipe(), alice)
    assert jobs() == []


def test_with_two_calls_to_decide_it_goes_on_after_the_second(room, alice, worker, loop, ran):  # noqa: F811
    model = "openai/results-tool=wipe:what:A-tool=wipe:what:B"
    answer = run_to_the_end(loop, answer_of(ask(room, alice, model=model)), worker)
    first, second = ToolCall.objects.select_related("message").in_order()
    approving.allow(second, alice)
    assert jobs() == [] and now(answer).is_parked and now(answer).is_alive()
    approving.deny(first, alice)
    ended = run_to_the_end(loop, answer, worker)
    assert ran == [("wipe", "B")] and ended.status == "success"


def test_what_is_decided_before_it_is_parked_is_not_waited_for(room, alice, worker):
    claim = claimed(answer_of(ask(room, alice)), worker)
    assert rounds.open_round(
        claim, Written("", 0), 1, [rounds.NewCall("c", "wipe", "{}", "Wipe", needs_approval=True)]
    )
    approving.allow(wipe(), alice)
    assert rounds.park(claim, Written("", 0)) is False, "go on"
    assert now(wipe().message).status == "processing" and jobs() == []


def test_a_decision_while_other_calls_still_run_is_acted_on_at_once(room, alice, worker, loop, ran):  # noqa: F811
    answer = answer_of(ask(room, alice, model="openai/results-tool=wipe:what:A-tool=meet-tool=meet"))

    async def allow_it(turn):
        while not await beside(ToolCall.objects.filter(name="wipe").exists):
            await asyncio.sleep(0.01)
        await beside(lambda: approving.allow(wipe(), alice))

    run_turn(loop, claimed(answer, worker), allow_it)
    ended = run_to_the_end(loop, answer, worker)
    assert ended.status == "success" and ("wipe", "A") in ran


def test_a_parked_answer_whose_job_after_the_decision_is_lost_is_recovered(parked, alice, worker):
    from django_q.models import OrmQ

    approving.allow(wipe(), alice)
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
    approving.deny(wipe(), alice)
    run_to_the_end(loop, parked, worker)
    assert now(later.message).status == "success"


def test_nobody_is_asked_to_allow_what_can_not_be_run(room, alice, worker, loop):
    ended = run_to_the_end(loop, answer_of(ask(room, alice, model="openai/results-tool=wipe:what:A-badargs")), worker)
    assert ended.status == "success" and calls(ended) == [("wipe", "error")]
