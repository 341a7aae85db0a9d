"""An answer in rounds: the model calls tools, each call gets exactly one result, and the answer goes on with them."""

import asyncio
import threading
import time

import pytest

from assistant.lifecycle import answering, asking, rounds
from assistant.lifecycle.answering import Written
from assistant.models import ChatSession, ToolCall
from assistant.presentation.wire import message_json
from assistant.prompt import context
from assistant.text.reasoned import Reasoned
from assistant.tools import Context, Result, Service, ToolError
from assistant.worker.completion import WITHOUT_TOOLS
from tests.acting import answer_of, ask, claimed, kill, now
from tests.provider.valid import check_request
from tests.rounds import beside, calls, hand_over, offer, run_to_the_end, run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # litellm trips over its own libraries'
]


@pytest.fixture
def ran():
    """What the tools of the test have done."""
    return []


@pytest.fixture
def bench(ran):
    """A service with tools for every case."""
    service = Service("bench", title="Bench", description="For tests.")

    @service.tool(title="Weather", doing="Looking out of the window", timeout=5, idempotent=True)
    def weather(city: str, days: int = 1) -> Result:
        """The weather.

        city: which one
        """
        ran.append(("weather", city, days))
        return Result(f"Sunny in {city}", f"Sunny for {days} days")

    @service.tool(title="Pay", timeout=5)
    def pay(amount: int) -> str:
        """Pays an amount."""
        ran.append(("pay", amount))
        return f"Paid {amount}."

    @service.tool(title="Crash", timeout=5)
    def crash() -> str:
        """Crashes."""
        raise RuntimeError("a secret detail")

    @service.tool(title="Refuse", timeout=5)
    async def refuse() -> str:
        """Refuses."""
        raise ToolError("Not on Sundays.")

    @service.tool(title="Hang", timeout=0.3)
    def hang() -> str:
        """Hangs in a thread."""
        time.sleep(1.5)
        ran.append("hang came back")
        return "too late"

    @service.tool(title="Wait", timeout=3600)
    async def wait(context: Context) -> str:
        """Waits until it is cancelled."""
        ran.append("waiting")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ran.append("cancelled")
            raise
        return "waited"

    @service.tool(title="Meet", timeout=10)
    def meet() -> str:
        """Returns once two of it run at the same time."""
        together.wait(8)
        return "met"

    together = threading.Barrier(2)

    @service.tool(title="Who", timeout=5)
    def who(context: Context) -> dict:
        """Who asks."""
        return {"user": context.user.username, "team": context.user_context.get("team")}

    @service.tool(title="Delete everything", timeout=5, approval=True)
    def wipe(what: str) -> str:
        """Deletes."""
        ran.append(("wipe", what))
        return f"{what} is gone."

    return service


@pytest.fixture
def room(session, provider, bench, settings, monkeypatch):
    """The session with the bench switched on; the provider asked over HTTP."""
    offer(settings, monkeypatch, bench)
    settings.ASSISTANT_MODELS = [("Any", "openai/words"), ("All", "openai/*")]
    monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    provider.reset()
    session.services = ["bench"]
    session.save()
    return session


@pytest.fixture
def asked(room, alice):
    return lambda model, text="How are you?": answer_of(ask(room, alice, text, model=model))


@pytest.fixture
def bodies(provider):
    """The requests that the provider has seen, each valid."""

    def read():
        found = [record["body"] for record in provider.requests()]
        for body in found:
            check_request(body)
        return found

    return read


def test_a_call_is_run_and_its_result_reaches_the_model(asked, worker, loop, ran, bodies):
    ended = run_to_the_end(loop, asked("openai/results-preamble=3-tool=weather:city:Paris,days:2"), worker)
    assert ended.status == "success" and ran == [("weather", "Paris", 2)]
    assert ended.content.endswith("\n\nSunny in Paris") or ended.content == "Sunny in Paris"
    first, second = bodies()
    assert [tool["function"]["name"] for tool in first["tools"]][:2] == ["weather", "pay"]
    assert second["messages"][-1]["content"] == "Sunny in Paris"
    call = ToolCall.objects.get()
    assert (call.status, call.summary, call.title, call.doing) == (
        "success", "Sunny for 2 days", "Weather", "Looking out of the window",
    )  # fmt: skip
    assert call.started_at and call.finished_at
    assert ended.usage["total_tokens"] > 0 and ended.rounds == 1


def test_text_stands_before_and_after_the_calls(asked, worker, loop, provider):
    model = provider.script("both-sides", [
        {"text": "Let me look.", "tools": [{"name": "weather", "arguments": {"city": "Rome"}}], "preamble": 99},
        {"text": "It is sunny.\n\nGo out."},
    ])  # fmt: skip
    ended = run_to_the_end(loop, asked(model), worker)
    assert ended.content == "Let me look.\n\nIt is sunny.\n\nGo out."
    shown = message_json(ended)
    (call,) = shown["tool_calls"]
    assert (call["at"], call["block"]) == (len("Let me look."), 1)
    assert [part.count("<p>") for part in shown["html"]] == [1, 1, 1]


def test_an_open_list_before_the_calls_is_not_joined_with_what_follows(asked, worker, loop, provider):
    model = provider.script("lists", [
        {"text": "- one", "tools": [{"name": "weather", "arguments": {"city": "Rome"}}], "preamble": 99},
        {"text": "- two"},
    ])  # fmt: skip
    shown = message_json(run_to_the_end(loop, asked(model), worker))
    assert len(shown["html"]) == 2 and shown["tool_calls"][0]["block"] == 1


def test_parallel_calls_run_side_by_side_and_their_results_come_in_order(asked, worker, loop, bodies):
    ended = run_to_the_end(loop, asked("openai/results-tool=meet-tool=weather:city:Oslo-tool=meet"), worker)
    assert ended.content == "met\nSunny in Oslo\nmet"
    assert len(bodies()) == 2, "one next round, whoever is the last to return"


def test_of_three_calls_one_crashes_and_one_hangs(asked, worker, loop, ran, bodies, caplog):
    ended = run_to_the_end(loop, asked("openai/results-tool=crash-tool=hang-tool=weather:city:Rome"), worker)
    assert calls(ended) == [("crash", "error"), ("hang", "error"), ("weather", "success")]
    crashed, hung, sunny = [line["content"] for line in bodies()[-1]["messages"] if line["role"] == "tool"]
    assert "error of its own" in crashed and "secret" not in crashed and "a secret detail" in caplog.text
    assert "longer than 0.3 seconds" in hung and sunny == "Sunny in Rome"
    assert ended.status == "success"


def test_what_an_abandoned_thread_returns_is_thrown_away(asked, worker, loop, ran):
    ended = run_to_the_end(loop, asked("openai/results-tool=hang"), worker)
    until = time.monotonic() + 30
    while "hang came back" not in ran and time.monotonic() < until:
        time.sleep(0.05)
    assert calls(ended) == [("hang", "error")] and "longer than" in ToolCall.objects.get().result


def test_a_tool_s_own_refusal_is_told_in_its_words(asked, worker, loop):
    run_to_the_end(loop, asked("openai/results-tool=refuse"), worker)
    call = ToolCall.objects.get()
    assert (call.status, call.result, call.summary) == ("error", "Not on Sundays.", "Not on Sundays.")


def test_an_invented_tool_is_answered_with_an_error(asked, worker, loop, bodies):
    ended = run_to_the_end(loop, asked("openai/results-tool=teleport:to:Mars"), worker)
    assert ended.status == "success" and calls(ended) == [("teleport", "error")]
    assert "no tool 'teleport'" in bodies()[-1]["messages"][-1]["content"]


def test_arguments_that_are_no_json_are_answered_with_an_error(asked, worker, loop, ran, bodies):
    ended = run_to_the_end(loop, asked("openai/results-tool=pay:amount:5-badargs"), worker)
    assert ended.status == "success" and calls(ended) == [("pay", "error")] and ran == []
    assert "not a JSON object" in bodies()[-1]["messages"][-1]["content"]


def test_arguments_that_do_not_fit_are_answered_with_what_is_wrong(asked, worker, loop, ran, bodies):
    run_to_the_end(loop, asked("openai/results-tool=pay:amount:much,extra:1"), worker)
    told = bodies()[-1]["messages"][-1]["content"]
    assert "amount" in told and "extra" in told and ran == []


def test_names_and_arguments_that_no_provider_takes_back_are_mended_in_the_history(
    asked, worker, loop, provider, bodies
):
    model = provider.script("odd", [
        {"tools": [
            {"name": "so odd!\u0000 é", "arguments": "[1", "id": "x"},
            {"name": "weather", "arguments": '{"city":"A"}', "id": "x"},
        ]},
        {"text": "Done."},
    ])  # fmt: skip
    assert run_to_the_end(loop, asked(model), worker).content == "Done."
    assert len(bodies()) == 2


def test_a_tool_knows_who_asks_and_the_model_does_not_see_it(asked, worker, loop, settings, bodies):
    from assistant.toolbox import registry

    registry.hook_of.cache_clear()
    settings.ASSISTANT_USER_CONTEXT = "tests.test_rounds.team_of"
    ended = run_to_the_end(loop, asked("openai/results-tool=who"), worker)
    assert ended.content == '{"user":"alice","team":"red"}'
    first = bodies()[0]
    assert first["messages"][0] == {"role": "system", "content": "alice likes brief answers."}
    who = next(tool["function"] for tool in first["tools"] if tool["function"]["name"] == "who")
    assert who["parameters"]["properties"] == {}


def team_of(user, session):
    return {"team": "red", "about": f"{user.username} likes brief answers."}


def test_without_services_no_tools_are_offered(asked, room, worker, loop, bodies):
    room.services = []
    room.save()
    run_to_the_end(loop, asked("openai/words-n3"), worker)
    assert "tools" not in bodies()[0]


def test_where_the_services_were_switched_off_meanwhile_the_calls_are_still_declared(
    asked, room, worker, loop, bodies
):
    answer = asked("openai/words-n3-tool=weather:city:Rome")
    claim = claimed(answer, worker)
    stored_round(claim, "weather")
    answering.hand_over(claim, Written("Let me look.", 2))
    room.services = []
    room.save()
    ended = run_to_the_end(loop, answer, worker)
    assert (ended.status, calls(ended)) == ("success", [("weather", "error")])
    (body,) = bodies()
    assert [tool["function"]["name"] for tool in body["tools"]] == ["weather"] and body["tool_choice"] == "none"


def test_a_budget_that_is_used_up_ends_the_answer_before_its_next_round(
    asked, room, bob, worker, loop, settings, bodies
):
    settings.ASSISTANT_BUDGET_TOKENS = 100
    answer = asked("openai/words-preamble=3-usage=100,5-tool=weather:city:Rome")
    theirs = ask(room, bob, model="openai/words").message
    ended = run_to_the_end(loop, answer, worker)
    assert (ended.status, ended.error_code, ended.content.split()) == ("error", "over_quota", ["w0", "w1", "w2"])
    assert calls(ended) == [("weather", "success")] and len(bodies()) == 1 and not ended.is_bounced
    assert room.messages.running().get().reply_to == theirs, "what others ask does not rest for it"


def test_calls_of_an_earlier_answer_stay_in_the_history(asked, worker, loop, bodies):
    run_to_the_end(loop, asked("openai/results-tool=weather:city:Rome"), worker)
    run_to_the_end(loop, asked("openai/words-n2", "And now?"), worker)
    assert [line["role"] for line in bodies()[-1]["messages"]] == ["user", "assistant", "tool", "assistant", "user"]


def test_a_loop_that_never_ends_is_continued_in_fresh_jobs_and_then_ended(
    asked, worker, loop, settings, bodies, frames
):
    settings.ASSISTANT_ROUNDS, settings.ASSISTANT_CONTINUATIONS = 2, 2
    ended = run_to_the_end(loop, asked("openai/words-rounds=99-tool=weather:city:Rome"), worker)
    assert (ended.status, ended.error_code) == ("error", "incomplete_response")
    assert "went on asking for tools" in ended.error_detail
    assert (ended.rounds, ended.continuations, ended.attempt, ended.recoveries) == (6, 2, 3, 0)
    assert set(calls(ended)) == {("weather", "success")}
    last = bodies()[-1]
    assert last["tool_choice"] == "none" and len(bodies()) == 7
    assert WITHOUT_TOOLS in last["messages"][0]["content"]


def test_a_model_that_answers_when_it_is_told_to_has_answered(asked, worker, loop, settings, provider):
    settings.ASSISTANT_ROUNDS, settings.ASSISTANT_CONTINUATIONS = 1, 0
    model = provider.script(
        "obeys", [{"tools": [{"name": "weather", "arguments": {"city": "A"}}]}, {"text": "Well."}]
    )
    ended = run_to_the_end(loop, asked(model), worker)
    assert (ended.status, ended.content) == ("success", "Well.")


def test_a_slice_of_time_that_is_used_up_ends_in_a_fresh_job(asked, worker, loop, settings):
    settings.ASSISTANT_SLICE = 0.0
    ended = run_to_the_end(loop, asked("openai/results-rounds=2-tool=weather:city:Rome"), worker)
    assert (ended.status, ended.continuations, ended.attempt) == ("success", 2, 3)


def test_an_empty_answer_after_tools_is_an_empty_answer(asked, worker, loop, provider):
    model = provider.script("stall", [
        {"text": "Let me look.", "tools": [{"name": "weather", "arguments": {"city": "A"}}], "preamble": 99}, "empty",
    ])  # fmt: skip
    ended = run_to_the_end(loop, asked(model), worker)
    assert (ended.status, ended.error_code, ended.content) == ("error", "empty_response", "Let me look.")


def test_calls_that_were_cut_off_are_not_run(asked, worker, loop, ran, provider):
    model = provider.script(
        "cut",
        [{"tools": [{"name": "pay", "arguments": {"amount": 1}}], "finish": "length", "text": "x", "preamble": 1}],
    )
    ended = run_to_the_end(loop, asked(model), worker)
    assert (ended.status, ended.error_code, ran, calls(ended)) == ("error", "incomplete_response", [], [])


def test_the_status_lines_of_a_tool_are_told_at_most_so_often(asked, worker, loop, frames, settings, monkeypatch):
    from assistant.worker import tool_execution as running

    monkeypatch.setattr(running, "STATUS_SECONDS", 3600)
    talkative = Service("talkative", title="Talkative", description="For tests.")

    @talkative.tool(title="Talk", timeout=5)
    async def talk(context: Context) -> str:
        """Talks."""
        for number in range(50):
            context.status(f"Step {number}")
            await asyncio.sleep(0)
        return "said"

    offer(settings, monkeypatch, talkative)
    ChatSession.objects.update(services=["talkative"])
    assert run_to_the_end(loop, asked("openai/results-tool=talk"), worker).content == "said"
    told = [frame["text"] for frame in frames if frame["type"] == "message.tool_status"]
    assert len(told) == 1 and told[0].startswith("Step ")


def test_a_status_line_of_blanks_is_not_told(asked, worker, loop, frames, settings, monkeypatch):
    silent = Service("silent", title="Silent", description="For tests.")

    @silent.tool(title="Hum", timeout=5)
    async def hum(context: Context) -> str:
        """Hums."""
        for nothing in ("", "  ", "\u200b\n"):
            context.status(nothing)
            await asyncio.sleep(0)
        return "hummed"

    offer(settings, monkeypatch, silent)
    ChatSession.objects.update(services=["silent"])
    assert run_to_the_end(loop, asked("openai/results-tool=hum"), worker).content == "hummed"
    assert [frame for frame in frames if frame["type"] == "message.tool_status"] == []


def test_a_long_result_keeps_both_its_ends(asked, worker, loop, bodies, settings, monkeypatch):
    settings.ASSISTANT_RESULT_LENGTH = 100
    logs = Service("logs", title="Logs", description="For tests.")

    @logs.tool(title="Log", timeout=5)
    def log() -> str:
        """Logs."""
        return "It begins. " + "x" * 1000 + " It failed."

    offer(settings, monkeypatch, logs)
    ChatSession.objects.update(services=["logs"])
    run_to_the_end(loop, asked("openai/words-tool=log"), worker)
    (told,) = [line["content"] for line in bodies()[-1]["messages"] if line["role"] == "tool"]
    assert told.startswith("It begins.") and told.endswith("It failed.") and "922 characters are left out" in told


def test_an_answer_that_nobody_sees_is_an_empty_one(asked, worker, loop, provider):
    ended = run_to_the_end(loop, asked(provider.script("unseen", [{"text": "\u200b\ufeff \u2060"}])), worker)
    assert (ended.status, ended.error_code, ended.content) == ("error", "empty_response", "")


def test_more_calls_at_once_than_are_allowed_are_answered_with_an_error(
    asked, worker, loop, ran, bodies, monkeypatch
):
    from assistant.worker import tool_execution as running

    monkeypatch.setattr(running, "MOST_CALLS", 2)
    names = "-".join(f"tool=weather:city:{city}" for city in "ABC")
    ended = run_to_the_end(loop, asked(f"openai/results-{names}"), worker)
    assert [status for _, status in calls(ended)] == ["success", "success", "error"]
    assert sorted(city for _, city, _ in ran) == ["A", "B"] and len(bodies()) == 2


def test_threads_of_tools_that_nobody_waits_for_are_bounded(asked, worker, loop, ran, monkeypatch):
    from assistant.worker import tool_execution as running

    threads = threading.BoundedSemaphore(1)
    monkeypatch.setattr(running, "_threads", threads)
    ended = run_to_the_end(loop, asked("openai/results-tool=hang-tool=weather:city:A"), worker)
    assert [status for _, status in calls(ended)] == ["error", "error"] and ended.status == "success"
    assert "Too many tools are busy" in ended.content and ("weather", "A", 1) not in ran
    assert threads.acquire(timeout=60), "once it has come back there is room again"


# --- a new attempt ---


def stored_round(claim, *names, text="Let me look."):
    arguments = {"weather": '{"city": "A"}', "pay": '{"amount": 3}'}
    new = [rounds.NewCall(f"c{place}", name, arguments[name], name) for place, name in enumerate(names)]
    assert rounds.open_round(claim, Written(text, 2), 1, new)
    return rounds.open_calls(claim)


def test_a_new_attempt_goes_on_after_the_last_stored_round(asked, worker, loop, ran, bodies, frames):
    answer = asked("openai/results-tool=weather:city:Rome")
    stored_round(claimed(answer, worker), "pay")
    kill(worker)
    from assistant.lifecycle import recovery
    from tests.acting import revive

    assert recovery.sweep() == {"recovered": 1}
    revive(worker)
    ended = run_to_the_end(loop, answer, worker)
    assert ran == [("pay", 3)], "it had not begun: it is run now, once"
    assert ended.content == "Let me look.\n\nPaid 3."
    (reset,) = [frame for frame in frames if frame["type"] == "message.reset"]
    assert (reset["attempt"], reset["seq"], reset["content"]) == (2, 0, "Let me look.")
    assert [line["role"] for line in bodies()[0]["messages"]] == ["user", "assistant", "tool"]


def test_a_call_that_was_running_is_not_run_again(asked, worker, loop, ran, bodies):
    answer = asked("openai/results-tool=weather:city:Rome")
    claim = claimed(answer, worker)
    rounds.begin_calls(claim, stored_round(claim, "pay"))
    assert answering.hand_over(claim, Written("Let me look.", 2))
    ended = run_to_the_end(loop, answer, worker)
    assert ran == [] and calls(ended) == [("pay", "interrupted")]
    assert "not known whether it took effect" in bodies()[0]["messages"][-1]["content"]
    assert ended.status == "success"


def test_a_call_that_was_running_is_run_again_if_that_is_harmless(asked, worker, loop, ran):
    answer = asked("openai/results-tool=weather:city:Rome")
    claim = claimed(answer, worker)
    call = rounds.NewCall("c", "weather", '{"city": "A"}', "Weather", is_idempotent=True)
    assert rounds.open_round(claim, Written("", 0), 1, [call])
    rounds.begin_calls(claim, rounds.open_calls(claim))
    assert answering.hand_over(claim, Written("", 0))
    assert run_to_the_end(loop, answer, worker).content == "Sunny in A" and ran == [("weather", "A", 1)]


def test_what_goes_on_from_where_it_stood_is_not_stored_twice(asked, worker):
    answer = asked("openai/words")
    claim = claimed(answer, worker)
    thought = Reasoned("Pay first.", 1, 0.5)
    written = Written("Let me look.", 2, (12,), thought)
    assert rounds.open_round(claim, written, 1, [rounds.NewCall("c", "pay", "{}", "Pay")])
    assert rounds.continue_later(claim, written)
    second = claimed(answer, worker)
    assert (now(answer).content, now(answer).reasoning) == ("Let me look.", "Pay first.")
    assert (now(answer).salvage, now(answer).reasoning_salvage) == ("", None)
    assert answering.hand_over(second, Written("Let me look. It seems", 3, (12,), Reasoned("Pay first. Hm", 2, 1.5)))
    claimed(answer, worker)
    assert (now(answer).content, now(answer).salvage) == ("Let me look.", "Let me look. It seems")
    assert now(answer).reasoning_salvage == {"content": "Pay first. Hm", "seconds": 1.5}


def test_a_late_worker_neither_stores_a_round_nor_settles_a_call(asked, worker):
    answer = asked("openai/words")
    claim = claimed(answer, worker)
    (call,) = stored_round(claim, "pay")
    assert answering.hand_over(claim, Written("Let me look.", 2))
    successor = claimed(now(answer), worker)
    late = rounds.CallResult("success", "late")
    assert not rounds.settle(claim, call, late) and not rounds.begin_calls(claim, [call])
    assert not rounds.open_round(claim, Written("x", 9), 2, []) and rounds.park(claim, Written("x", 9)) is None
    assert not rounds.continue_later(claim, Written("x", 9))
    assert rounds.settle(successor, call, rounds.CallResult("success", "first"))
    assert rounds.settle(successor, call, rounds.CallResult("error", "second"))
    assert ToolCall.objects.get().result == "first", "a call has one result"


def test_a_round_that_is_stored_twice_is_one_round(asked, worker):
    claim = claimed(asked("openai/words"), worker)
    stored_round(claim, "pay", "weather")
    stored_round(claim, "pay", "weather")
    assert ToolCall.objects.count() == 2


def test_a_checkpoint_that_comes_late_takes_no_text_back(asked, worker):
    answer = asked("openai/words")
    claim = claimed(answer, worker)
    stored_round(claim, "pay", text="Let me look.")
    assert answering.checkpoint({claim: Written("Let", 1)}) == set()
    assert now(answer).content == "Let me look."


def test_a_worker_that_stops_hands_a_turn_with_a_running_tool_over(asked, worker, loop, ran):
    answer = asked("openai/results-tool=wait")

    async def stop_it(turn):
        while "waiting" not in ran:
            await asyncio.sleep(0.01)
        hand_over(turn)

    run_turn(loop, claimed(answer, worker), stop_it)
    assert ran == ["waiting", "cancelled"]
    assert now(answer).status == "pending" and now(answer).is_alive()
    ended = run_to_the_end(loop, answer, worker)
    assert calls(ended) == [("wait", "interrupted")] and ended.status == "success"


def test_a_stop_reaches_a_running_tool(asked, alice, worker, loop, ran):
    answer = asked("openai/results-preamble=2-tool=wait")

    async def stop_it(turn):
        from assistant.worker.turn import Stop

        while "waiting" not in ran:
            await asyncio.sleep(0.01)
        await beside(asking.cancel, answer, alice)
        turn.stop(Stop.LOST)  # what the message to the worker does

    run_turn(loop, claimed(answer, worker), stop_it)
    assert ran == ["waiting", "cancelled"]
    assert (now(answer).status, calls(answer)) == ("cancelled", [("wait", "cancelled")])


def test_the_deadline_reaches_a_running_tool(asked, worker, loop, ran, settings):
    settings.ASSISTANT_DEADLINE = 1.0
    ended = run_to_the_end(loop, asked("openai/results-tool=wait"), worker)
    assert ran == ["waiting", "cancelled"]
    assert (ended.error_code, calls(ended)) == ("timeout", [("wait", "cancelled")])


def test_viewers_are_told_each_change_of_a_call(asked, worker, loop, frames):
    answer = asked("openai/results-tool=weather:city:Rome")
    run_to_the_end(loop, answer, worker)
    told = [frame for frame in frames if frame["type"] == "message.tool_calls"]
    assert [frame["tool_calls"][0]["status"] for frame in told] == ["pending", "running", "success"]
    assert [frame["version"] for frame in told] == sorted({frame["version"] for frame in told})
    ended = [frame for frame in frames if frame["type"] == "message.updated"][-1]["message"]
    assert ended["status"] == "success" and ended["tool_calls"] == told[-1]["tool_calls"]


def test_a_tool_acts_in_the_name_of_whoever_caused_the_run(asked, alice, bob, worker, loop):
    """Race 41: a retry by another must not act as the first asker."""
    first = asked("openai/results-tool=who")
    assert '"alice"' in run_to_the_end(loop, first, worker).tool_calls.get().result
    again = asking.retry(now(first), by=bob)
    assert '"bob"' in run_to_the_end(loop, again, worker).tool_calls.get().result
    prompt = context.prompt_for(claimed(asking.retry(now(first), by=bob), worker))
    assert (prompt.user, prompt.user_id) == (bob, bob.pk)
