"""The ledger: each call of a model is charged once, to who caused it, however it ended; and budgets that hold."""

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone

from assistant import llm
from assistant.database import Database
from assistant.lifecycle import answering, asking, budgets, ledger, recovery, rounds, session_changes
from assistant.lifecycle.refusal import Refused
from assistant.models import Budget, Message, UsageRecord
from assistant.models.message import Status
from assistant.worker.metering import metered
from tests.acting import a_room, answer_of, ask, claimed, fail, finish, kill, now, queued
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

FIGURES = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.25}


@pytest.fixture
def spend():
    """`spend(claim, tokens, cost)`: a call of that claim's has ended."""

    def happen(claim, tokens=15, cost=0.25, **more):
        call = ledger.Call(claim.message_id, claim.attempt, "test/model", tokens, 0, cost, **more)
        ledger.record(call)
        return call

    return happen


@pytest.fixture
def used(alice):
    """`used(user, tokens, cost)`: somebody has used that much today."""

    def happen(user, tokens=0, cost=None, **more):
        return UsageRecord.objects.create(user=user, model="test/model", prompt_tokens=tokens, cost=cost, **more)

    return happen


def refused(verb, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        verb(*args, **kwargs)
    return caught.value


# --- the ledger ---


def test_a_call_is_charged_to_who_asked_and_counted_in_its_session(session, bob, worker, spend):
    claim = claimed(answer_of(ask(session, bob)), worker)
    spend(claim)
    row = UsageRecord.objects.get()
    assert (row.user, row.session, row.message_id, row.day) == (bob, session, claim.message_id, timezone.localdate())
    assert ledger.of_session(session)["total_tokens"] == 15


def test_the_same_call_written_twice_is_one_row(session, alice, worker, spend):
    call = spend(claimed(answer_of(ask(session, alice)), worker))
    ledger.record(call)
    assert UsageRecord.objects.count() == 1


def test_an_answers_usage_is_that_of_all_its_attempts_and_calls(session, alice, worker, spend):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    spend(claim), spend(claim)
    answering.hand_over(claim, answering.Written("x", 1))
    claim = claimed(answer, worker)
    spend(claim)
    finish(claim)
    found = now(answer).usage
    assert (found["total_tokens"], found["calls"], found["cost"]) == (45, 3, 0.75)


def test_who_wants_another_answer_pays_for_it(session, alice, bob, worker, spend):
    answer = answer_of(ask(session, alice))
    finish(claimed(answer, worker))
    spend(claimed(asking.retry(answer, by=bob), worker))
    assert UsageRecord.objects.get().user == bob


def test_a_stopped_answer_learns_of_its_usage_afterwards(session, alice, worker, spend, frames):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    asking.cancel(now(answer), alice)
    spend(claim)
    assert now(answer).usage["total_tokens"] == 15
    assert frames[-1]["message"]["usage"]["total_tokens"] == 15


def test_a_cost_that_nobody_knows_is_not_zero(session, alice, worker, spend):
    claim = claimed(answer_of(ask(session, alice)), worker)
    spend(claim, cost=None)
    assert ledger.of_session(session)["cost"] is None
    spend(claim, cost=0.5)
    total = ledger.of_session(session)
    assert (total["cost"], total["has_unknown_cost"]) == (0.5, True)


def test_the_ledger_outlives_the_session_and_still_counts(session, alice, worker, spend, settings):
    settings.ASSISTANT_BUDGET_TOKENS = 10
    claim = claimed(answer_of(ask(session, alice)), worker)
    spend(claim)
    session_changes.delete(session)
    row = UsageRecord.objects.get()
    assert (row.session, row.message, row.user) == (None, None, alice)
    assert budgets.is_spent(alice.pk)


def test_a_call_that_ends_after_its_session_is_charged_all_the_same(session, alice, worker, spend):
    claim = claimed(answer_of(ask(session, alice)), worker)
    session_changes.delete(session)
    spend(claim, user_id=alice.pk)
    assert UsageRecord.objects.get().user == alice


def test_a_call_that_died_with_its_worker_is_charged_by_estimate(session, alice, worker):
    answer = answer_of(ask(session, alice, "q" * 400))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("a" * 80, 1)})
    kill(worker)
    recovery.recover(now(answer))
    row = UsageRecord.objects.get()
    assert (row.prompt_tokens, row.completion_tokens, row.is_estimate, row.error_code) == (
        100,
        20,
        True,
        "interrupted",
    )
    assert (row.user, row.attempt) == (alice, 1)


def test_stopping_the_answer_of_a_dead_worker_charges_what_it_had_used(session, alice, worker):
    answer = answer_of(ask(session, alice, "q" * 400))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("a" * 80, 1)})
    kill(worker)
    asking.cancel(answer, alice)
    row = UsageRecord.objects.get()
    assert (row.prompt_tokens, row.completion_tokens, row.is_estimate, row.user) == (100, 20, True, alice)
    assert now(answer).usage["total_tokens"] == 120


def test_stopping_the_answer_of_a_living_worker_leaves_the_figures_to_it(session, alice, worker, spend):
    answer = answer_of(ask(session, alice, "q" * 400))
    claim = claimed(answer, worker)
    spend(claim)
    asking.cancel(answer, alice)
    assert UsageRecord.objects.count() == 1 and now(answer).usage["total_tokens"] == 15


TAKEN = {
    "fail": recovery.give_up,
    "requeue": recovery.requeue,
    "disown": lambda answer: recovery.disown(answer.pk, answer.attempt),
}


@pytest.mark.parametrize("verb", TAKEN)
def test_what_is_taken_from_a_living_worker_is_charged_by_it_alone(session, alice, worker, spend, verb):
    answer = answer_of(ask(session, alice, "q" * 400))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("a" * 80, 1)})
    assert TAKEN[verb](now(answer))
    spend(claim, error_code="stopped")  # its call is cancelled now
    assert [row.error_code for row in UsageRecord.objects.all()] == ["stopped"]


@pytest.mark.parametrize("verb", TAKEN)
def test_what_is_taken_from_a_dead_worker_is_charged_by_estimate(session, alice, worker, verb):
    answer = answer_of(ask(session, alice, "q" * 400))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("a" * 80, 1)})
    kill(worker)
    assert TAKEN[verb](now(answer))
    row = UsageRecord.objects.get()
    assert (row.prompt_tokens, row.completion_tokens, row.error_code) == (100, 20, "interrupted")


def test_an_answer_that_is_given_up_tells_what_it_has_cost(session, alice, worker, spend, settings):
    settings.ASSISTANT_MAX_ATTEMPTS = 1
    answer = answer_of(ask(session, alice))
    spend(claimed(answer, worker))
    kill(worker)
    assert recovery.recover(now(answer)) == "abandoned"
    found = now(answer).usage
    assert found["calls"] == 2 and found["cost"] > 0.25 and not found["has_unknown_cost"]


def test_a_call_that_died_with_its_worker_costs_what_its_model_usually_does(session, alice, worker, used):
    used(alice, 1_000, "2.0", completion_tokens=1_000)
    used(alice, 5_000)  # of this one nobody knew the price
    answer = answer_of(ask(session, alice, "q" * 400, model="test/model"))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("a" * 80, 1)})
    kill(worker)
    recovery.recover(now(answer))
    row = UsageRecord.objects.get(error_code="interrupted")
    assert float(row.cost) == pytest.approx((100 + 20) * 2.0 / 2_000) and row.is_estimate


def test_a_worker_that_died_while_tools_ran_was_calling_no_model(session, alice, worker, spend):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    spend(claim)
    assert rounds.open_round(
        claim, answering.Written("Let me look.", 1), 1, [rounds.NewCall("c", "look", "{}", "Look")]
    )
    kill(worker)
    recovery.recover(now(answer))
    assert UsageRecord.objects.count() == 1


def test_a_job_that_was_lost_before_any_call_is_charged_nothing(session, alice, worker):
    from tests.acting import lose_job

    answer = answer_of(ask(session, alice))
    lose_job(answer)
    assert recovery.recover(now(answer)) == "recovered"
    assert not UsageRecord.objects.exists()


# --- measuring a call ---


async def _stream(pieces, error=None, hang=False):
    for piece in pieces:
        yield piece
    if error:
        raise error
    if hang:
        await asyncio.sleep(3600)


@pytest.fixture
def measured(session, alice, worker, loop):
    """`measured(pieces, ...)`: a turn reads this stream; the ledger's row of it."""

    def happen(pieces, *, stop_after=None, **stream):
        claim = claimed(answer_of(ask(session, alice)), worker)
        messages = [{"role": "user", "content": "q" * 40}]

        async def turn():
            database = Database("test")
            watched = metered(_stream(pieces, **stream), claim, "test/model", messages, database, alice.pk)
            read = []

            async def reading():
                async for piece in watched:
                    read.append(piece)

            task = asyncio.create_task(reading())
            try:
                while stop_after is not None and len(read) < stop_after:
                    await asyncio.sleep(0.01)
                if stop_after is not None:
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            finally:
                database.close(wait=True)

        loop.run(turn())
        finish(claim)
        return UsageRecord.objects.get()

    return happen


def test_a_call_that_ends_well_has_the_providers_figures_and_its_times(measured):
    row = measured([llm.Text("Hello"), llm.Usage(FIGURES), llm.Finish("stop")])
    assert (row.prompt_tokens, row.completion_tokens, float(row.cost), row.is_estimate) == (10, 5, 0.25, False)
    assert row.error_code == "" and 0 <= row.first_token_ms <= row.total_ms


def test_a_call_that_breaks_off_is_estimated_from_what_came(measured):
    row = measured([llm.Text("x" * 40)], error=llm.ModelError("provider_error", "raw"))
    assert (row.prompt_tokens, row.completion_tokens, row.is_estimate) == (10, 10, True)
    assert row.error_code == "provider_error"


def test_a_call_that_was_refused_at_once_costs_nothing(measured):
    row = measured([], error=llm.ModelError("auth", "raw"))
    assert (row.prompt_tokens, row.completion_tokens, row.error_code) == (0, 0, "auth")


def test_a_call_that_is_stopped_is_estimated(measured):
    row = measured([llm.Text("x" * 40)], hang=True, stop_after=1)
    assert (row.prompt_tokens, row.completion_tokens, row.error_code) == (10, 10, "stopped")


READ = {
    "prompt_tokens": 5_000, "completion_tokens": 1, "total_tokens": 5_001, "cost": 0.0, "cached_tokens": 4_000,
    "cache_write_tokens": 500, "reasoning_tokens": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "ending", [{"hang": True, "stop_after": 3}, {"error": llm.ModelError("provider_error", "raw")}, {}]
)
def test_a_call_that_was_cut_off_costs_what_was_told_of_the_prompt_and_what_came_of_the_answer(measured, ending):
    row = measured([llm.Usage(READ), llm.Reasoning("t" * 400), llm.Text("x" * 40)], **ending)
    assert (row.prompt_tokens, row.cached_tokens, row.cache_write_tokens) == (5_000, 4_000, 500)
    assert (row.completion_tokens, row.reasoning_tokens, row.is_estimate) == (110, 100, True)


def test_what_was_told_last_counts_and_what_tells_nothing_does_not(measured):
    later = READ | {"completion_tokens": 50, "reasoning_tokens": 20, "cost": 0.5}
    row = measured([llm.Usage(READ), llm.Text("x"), llm.Usage(later), llm.Usage({}), llm.Finish("stop")])
    assert (row.completion_tokens, row.reasoning_tokens, float(row.cost), row.is_estimate) == (50, 20, 0.5, False)


def test_thinking_that_is_counted_and_not_named_is_counted_apart_by_its_letters(measured):
    row = measured(
        [
            llm.Reasoning("t" * 75),
            llm.Text("x" * 25),
            llm.Usage(FIGURES | {"completion_tokens": 200}),
            llm.Finish("stop"),
        ]
    )
    assert (row.completion_tokens, row.reasoning_tokens) == (200, 150)


def test_an_estimate_counts_what_other_alphabets_weigh(measured):
    row = measured([llm.Text("слово" * 8), llm.Text("字" * 20)], error=llm.ModelError("timeout", "raw"))
    assert row.completion_tokens == (80 + 60) // 4


def test_totals_tell_the_parts(session, alice, worker, spend, client):
    claim = claimed(answer_of(ask(session, alice)), worker)
    spend(claim, cached_tokens=10, cache_write_tokens=3, reasoning_tokens=0)
    spend(claim, reasoning_tokens=7)
    finish(claim)
    parts = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
    client.force_login(alice)
    for total in (
        Message.objects.get(pk=claim.message_id).usage,
        client.get(f"/api/sessions/{session.pk}/usage").json(),
    ):
        assert tuple(total[name] for name in parts) == (10, 3, 7)
    assert Message.objects.get(pk=claim.message_id).reasoning_tokens == 7


# --- budgets ---


def test_over_the_budget_nothing_is_stored_and_the_refusal_says_when_it_begins_anew(session, alice, settings, used):
    settings.ASSISTANT_BUDGET_TOKENS = 100
    used(alice, 99)
    finish_id = ask(session, alice).message.pk
    used(alice, 1)
    refusal = refused(ask, session, alice)
    assert (refusal.code, refusal.status) == ("over_quota", 429) and 0 < refusal.retry_after <= 86_400
    assert list(session.messages.filter(role="user").values_list("pk", flat=True)) == [finish_id]


@pytest.mark.parametrize("limit", [{"BUDGET_TOKENS": 250}, {"BUDGET_COST": 0.004}])
def test_thirty_at_once_do_not_share_the_last_tokens(alice, settings, worker, limit):
    """Race 40: each would find them unused."""
    for name, value in limit.items():
        setattr(settings, f"ASSISTANT_{name}", value)
    rooms = [a_room(alice) for _ in range(12)]

    def asks(room):
        def happen():
            try:
                return answer_of(ask(room, alice))
            except Refused as refusal:
                return refusal.code, refusal.retry_after

        return happen

    outcomes = at_once(*(asks(room) for room in rooms))
    asked = [outcome for outcome in outcomes if isinstance(outcome, Message)]
    assert len(asked) == 1 and set(outcomes) - set(asked) == {("over_quota", 10)}
    finish(claimed(asked[0], worker))
    assert answer_of(ask(rooms[0], alice)), "it has ended, and used nothing"


def test_with_enough_left_as_many_as_one_likes_run_at_once(alice, settings):
    settings.ASSISTANT_BUDGET_TOKENS = 100_000
    assert all(answer_of(ask(a_room(alice), alice)) for _ in range(5))


def test_a_budget_in_money_counts_money(session, alice, settings, used):
    settings.ASSISTANT_BUDGET_COST = 1.0
    used(alice, 10**9, "0.99")
    ask(session, alice)
    used(alice, 0, "0.02")
    assert refused(ask, session, alice).code == "over_quota"


@pytest.mark.parametrize(
    ("budget", "own", "asked"),
    [
        ({"ASSISTANT_BUDGET_COST": 1.0}, {}, False),
        ({"ASSISTANT_BUDGET_TOKENS": 100_000}, {}, True),
        ({"ASSISTANT_BUDGET_COST": 1.0}, {"is_unlimited": True}, True),
        ({}, {"cost_per_day": "0.5"}, False),
    ],
)
def test_a_model_without_a_price_is_asked_only_for_who_has_no_budget_in_dollars(
    session, alice, bob, worker, loop, settings, budget, own, asked
):
    for name, value in budget.items():
        setattr(settings, name, value)
    if own:
        Budget.objects.create(user=alice, **own)
    begun: list[bool] = []

    async def stream():
        begun.append(True)
        yield llm.Finish("stop")

    async def read(claim):
        database = Database("test")
        try:
            async for _ in metered(stream(), claim, "openai/unlisted", [], database, alice.pk):
                pass
        except llm.ModelError as error:
            assert error.code == "unpriced" and "ASSISTANT_PRICES" in error.raw
        finally:
            database.close(wait=True)

    loop.run(read(claimed(answer_of(ask(session, alice)), worker)))
    assert bool(begun) is asked and UsageRecord.objects.exists() is asked


def test_a_question_to_a_model_without_a_price_rests_nobodys_queue(session, alice, bob, worker):
    running = answer_of(ask(session, alice))
    waiting = ask(session, bob, "waiting").message
    failure = answering.Failure("unpriced", "Nobody knows.")
    assert answering.fail(claimed(running, worker), answering.Written("", 0), failure)
    assert now(waiting).status == Status.SUCCESS


def test_yesterday_does_not_count(session, alice, settings, used):
    settings.ASSISTANT_BUDGET_TOKENS = 100
    used(alice, 1_000, day=timezone.localdate() - timedelta(days=1))
    assert not budgets.is_spent(alice.pk)


@pytest.mark.parametrize(
    ("own", "spent"),
    [({"tokens_per_day": 1_000}, False), ({"tokens_per_day": 0}, True), ({"is_unlimited": True}, False), ({}, True)],
)
def test_a_user_may_have_a_budget_of_their_own(alice, settings, used, own, spent):
    settings.ASSISTANT_BUDGET_TOKENS = 100
    used(alice, 500)
    Budget.objects.create(user=alice, **own)
    assert budgets.is_spent(alice.pk) is spent


def test_a_repeated_send_is_answered_even_over_the_budget(session, alice, settings, used):
    settings.ASSISTANT_BUDGET_TOKENS = 1
    first = ask(session, alice, client_id="once")
    used(alice, 5)
    assert ask(session, alice, client_id="once").message == first.message


def test_a_retry_needs_a_budget_too(session, alice, bob, worker, settings, used):
    settings.ASSISTANT_BUDGET_TOKENS = 1
    answer = answer_of(ask(session, alice))
    finish(claimed(answer, worker))
    used(bob, 5)
    assert refused(asking.retry, answer, by=bob).code == "over_quota"
    assert asking.retry(answer, by=alice)


def test_a_waiting_question_whose_author_has_nothing_left_ends_without_a_model(
    session, alice, bob, worker, settings, used, frames
):
    settings.ASSISTANT_BUDGET_TOKENS = 100
    running = answer_of(ask(session, alice))
    mine, theirs = ask(session, alice, "mine").message, ask(session, bob, "theirs").message
    used(alice, 100)
    finish(claimed(running, worker))
    refusal = Message.objects.get(reply_to=mine)
    assert (refusal.status, refusal.error_code, refusal.job) == (Status.ERROR, "over_quota", None)
    assert now(mine).status == Status.SUCCESS and queued(session) == []
    assert session.messages.running().get().reply_to == theirs
    told = [
        (frame["type"], frame["message"]["status"])
        for frame in frames
        if frame.get("message", {}).get("id") == str(refusal.pk)
    ]
    assert told == [("message.created", "pending"), ("message.updated", "error")], "as of any other answer"


def test_a_failure_still_rests_the_queue(session, alice, worker):
    running = answer_of(ask(session, alice))
    ask(session, alice, "waiting")
    fail(claimed(running, worker))
    assert queued(session) == ["waiting"]


# --- how often ---


def test_too_many_in_a_minute_are_refused_with_the_seconds_to_wait(session, alice, bob, settings):
    settings.ASSISTANT_RATE_LIMIT = 2
    ask(session, alice), ask(session, alice, client_id="second")
    refusal = refused(ask, session, alice)
    assert (refusal.code, refusal.status) == ("too_fast", 429) and 0 < refusal.retry_after <= 30
    assert ask(session, alice, client_id="second").is_new is False
    ask(session, bob)
    assert session.messages.filter(role="user").count() == 3


def test_without_valkey_nobody_is_refused(settings):
    from assistant.delivery import rate_limits

    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    assert rate_limits.take("x", 1, 60) == 0 and rate_limits.take("x", 1, 60) == 0


def test_a_rate_leaves_nothing_behind_for_long(alice):
    from assistant.delivery import rate_limits, valkey

    rate_limits.take("leaves", 10, 60)
    assert 0 < valkey.client().pttl(f"{valkey.PREFIX}:rate:leaves") <= 6_000


# --- over HTTP ---


def test_one_sees_what_one_has_used_and_what_is_left(alice, settings, used, client):
    settings.ASSISTANT_BUDGET_TOKENS = 100
    used(alice, 30, "0.5")
    used(alice, 20, day=timezone.localdate() - timedelta(days=2))
    client.force_login(alice)
    found = client.get("/api/me/usage").json()
    assert (found["total_tokens"], found["cost"], len(found["days"])) == (50, 0.5, 2)
    assert found["models"][0]["model"] == "test/model"
    left = found["budget"]
    assert (left["used_tokens"], left["tokens_per_day"], left["is_spent"]) == (30, 100, False)


def test_what_one_has_used_needs_no_more_queries_for_more_days_and_models(alice, used, django_assert_num_queries):
    for ago in range(20):
        used(alice, 10 + ago, "0.5", day=timezone.localdate() - timedelta(days=ago))
        used(alice, 5, day=timezone.localdate() - timedelta(days=ago))
        UsageRecord.objects.create(user=alice, model=f"test/{ago}", completion_tokens=1, is_estimate=True)
    with django_assert_num_queries(5):
        found = ledger.of_user(alice.pk, 30)
    assert [day["day"] for day in found["days"]] == [
        (timezone.localdate() - timedelta(days=ago)).isoformat() for ago in range(20)
    ]
    today = found["days"][0]
    assert (today["prompt_tokens"], today["completion_tokens"], today["cost"], today["calls"]) == (15, 20, 0.5, 22)
    assert today["has_unknown_cost"] and today["is_estimate"] and not found["days"][1]["is_estimate"]
    first, *others = found["models"]
    assert (first["model"], first["total_tokens"], first["calls"], len(others)) == ("test/model", 490, 40, 20)


def test_a_refusal_over_http_says_when_to_come_again(session, alice, settings, used, client):
    settings.ASSISTANT_BUDGET_TOKENS = 1
    used(alice, 5)
    client.force_login(alice)
    response = client.post(
        f"/api/sessions/{session.pk}/messages", {"client_id": "1", "content": "x"}, content_type="application/json"
    )
    assert (response.status_code, response.json()["code"]) == (429, "over_quota") and int(response["Retry-After"]) > 0
