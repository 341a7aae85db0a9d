"""Forms that running tools put before people: the call waits for them off its clock, and the first answer counts."""

import asyncio

import pytest

from assistant.lifecycle import asking, claiming, form_filling, people, recovery, rounds
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.models import Message, ToolCall
from assistant.presentation import public, wire
from assistant.tools import Context, Service
from assistant.tools.form import Filled, Form, Unusable, WrongAnswer, checked, form_of, link_of
from assistant.worker import tool_forms as tool_asking
from assistant.worker.tool_forms import Clock
from assistant.worker.turn import Stop
from tests.acting import answer_of, ask, claimed, kill, now
from tests.calling import Caller, problem
from tests.rounds import beside, offer, run_turn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SCHEMA = {
    "type": "object",
    "properties": {
        "seats": {"type": "integer", "title": "Seats", "minimum": 1, "maximum": 9, "default": 2},
        "name": {"type": "string", "minLength": 2, "maxLength": 5},
        "mail": {"type": "string", "format": "email", "description": "For the ticket."},
        "day": {"type": "string", "format": "date"},
        "when": {"type": "string", "format": "date-time"},
        "page": {"type": "string", "format": "uri"},
        "weight": {"type": "number"},
        "window": {"type": "boolean", "default": "yes"},
        "class": {"type": "string", "enum": ["1", "2"], "enumNames": ["First", "Second"]},
        "meal": {"type": "string", "oneOf": [{"const": "v", "title": "Vegan"}, {"const": "n"}]},
        "extras": {"type": "array", "items": {"anyOf": [{"const": "bike", "title": "Bicycle"}]}, "maxItems": 1},
    },
    "required": ["seats"],
}


# --- the fields ---


def test_a_schema_of_flat_values_becomes_fields():
    form = form_of("Where\x00 to?", SCHEMA)
    assert form.message == "Where to?"
    fields = {field["name"]: field for field in form.fields}
    assert fields["seats"] == {"name": "seats", "title": "Seats", "description": "", "required": True, "kind": "integer",
                               "least": 1, "most": 9, "default": 2}  # fmt: skip
    assert fields["mail"]["format"] == "email" and fields["mail"]["description"] == "For the ticket."
    assert fields["class"]["options"] == [{"value": "1", "title": "First"}, {"value": "2", "title": "Second"}]
    assert fields["meal"]["options"] == [{"value": "v", "title": "Vegan"}, {"value": "n", "title": "n"}]
    assert (fields["extras"]["kind"], fields["extras"]["most"]) == ("choices", 1)
    assert "default" not in fields["window"], "a default that doesn't fit is none"


def test_what_fits_the_fields_is_given_on():
    given = {
        "seats": 3, "name": "Alice", "mail": "a@example.org", "day": "2026-02-28", "when": "2026-02-28T10:00:00Z",
        "page": "https://example.org", "weight": 0.5, "window": True, "class": "2", "meal": "v", "extras": ["bike"],
    }  # fmt: skip
    fields = form_of("?", SCHEMA).fields
    assert checked(fields, given) == given
    assert checked(fields, {"seats": 3.0, "name": "", "extras": [], "mail": None}) == {"seats": 3}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"seats": 0},
        {"seats": 10**400},
        {"seats": 1.5},
        {"seats": True},
        {"seats": "1"},
        {"seats": 1, "name": "A"},
        {"seats": 1, "name": "A\x00bc"},
        {"seats": 1, "mail": "nobody"},
        {"seats": 1, "day": "tomorrow"},
        {"seats": 1, "when": "2026-02-28T10:00:00"},
        {"seats": 1, "page": "example"},
        {"seats": 1, "weight": float("inf")},
        {"seats": 1, "window": "yes"},
        {"seats": 1, "class": "3"},
        {"seats": 1, "extras": ["bike", "bike"]},
        {"seats": 1, "extras": [["bike"]]},
        {"seats": 1, "extras": "bike"},
        {"seats": 1, "other": 1},
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(given):
    with pytest.raises(WrongAnswer, match=r"^.{10,}\.$"):
        checked(form_of("?", SCHEMA).fields, given)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}}},
        {"type": "object", "properties": {"a": {"enum": [1, 2]}}},
        {"type": "object", "properties": {"a": {"enum": []}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"enum": ["one", "t\x00wo"]}}},
        {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"anyOf": [{"const": "\ud83d", "title": "?"}]}}},
        },
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(31)}},
    ],
)
def test_what_is_no_form_is_not_put_before_people(schema):
    with pytest.raises(Unusable):
        form_of("?", schema)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "/settings", "https://", "http://[", "https://x/" + "y" * 5000, "https://exa mple.com",
        "https://a:99999/", "https://a:b/", "https://a:0/", "https://%zz/", "http://a<b>/", "https://bank.example@evil.example/",
        "https://a/\x00", "https://a/\ud83d",
    ],
)  # fmt: skip
def test_only_pages_of_the_web_are_opened(url):
    with pytest.raises(Unusable):
        link_of("?", url)
    assert link_of("?", "https://sign.example/7").url == "https://sign.example/7"


# --- a call that asks ---


@pytest.fixture
def outcomes():
    return []


@pytest.fixture
def room(session, asked_here, settings, monkeypatch, outcomes):
    rail = Service("rail", title="Rail")

    @rail.tool(title="Book", timeout=30)
    async def book(context: Context) -> str:
        """Books seats."""
        outcomes.append(await context.ask(form_of("Where would you like to sit?", SCHEMA)))
        return f"Booked: {outcomes[-1].action}."

    offer(settings, monkeypatch, rail)
    monkeypatch.setattr(tool_asking, "FILLED_POLL_SECONDS", 0.02)
    session.services = ["rail"]
    session.save()
    return session


@pytest.fixture
def claim(room, alice, worker):
    return claimed(answer_of(ask(room, alice, model="openai/results-tool=book")), worker)


def call():
    return ToolCall.objects.select_related("message").get()


def asks():
    row = ToolCall.objects.first()
    return row is not None and row.asks


async def once_asked(then, *arguments):
    async with asyncio.timeout(60):
        while not await beside(asks):
            await asyncio.sleep(0.01)
    return await beside(then, *arguments)


def filler(user, action="accept", content=None, number=1):
    body = {"number": number, "action": action} | ({"content": content} if content is not None else {})
    return lambda: Caller(user)("post", f"/tool-calls/{call().pk}/form", body)


def test_what_people_fill_in_reaches_the_tool_and_is_kept_nowhere(claim, bob, loop, outcomes, frames):
    answered = []

    async def meanwhile(turn):
        answered.append(await once_asked(filler(bob, content={"seats": 3})))
        answered.append(await beside(filler(bob, content={"seats": 4})))

    run_turn(loop, claim, meanwhile)
    first, second = answered
    assert first.status_code == 200 and "given" not in first.content.decode()
    problem(second, 409, "already_filled")
    assert outcomes == [Filled("accept", {"seats": 3})]
    shown = wire.message_json(Message.objects.get(pk=claim.message_id))["tool_calls"][0]
    assert shown["filled_by"]["name"] == "bob" and shown["form"]["action"] == "accept"
    assert (shown["status"], shown["result"]) == ("success", "Booked: accept.")
    assert call().form_given is None
    told = [frame["tool_calls"][0]["form"] for frame in frames if frame["type"] == "message.tool_calls"]
    assert any(form and "action" not in form and form["message"] == "Where would you like to sit?" for form in told)


def test_people_may_decline(claim, alice, loop, outcomes):
    run_turn(loop, claim, lambda turn: once_asked(filler(alice, "decline")))
    assert outcomes == [Filled("decline")] and call().result == "Booked: decline."


def test_what_does_not_fit_can_be_corrected(claim, alice, loop, outcomes):
    answered = []

    async def meanwhile(turn):
        answered.append(await once_asked(filler(alice, content={"seats": 0})))
        answered.append(await beside(filler(alice, content={"seats": 1, "x": 1})))
        answered.append(await beside(filler(alice, content={"seats": 1}, number=2)))
        answered.append(await beside(filler(alice, content={"seats": 1})))

    run_turn(loop, claim, meanwhile)
    assert problem(answered[0], 422, "invalid_form") == "“Seats” is at least 1."
    problem(answered[1], 422, "invalid_form")
    problem(answered[2], 409, "already_filled")
    assert answered[3].status_code == 200 and outcomes == [Filled("accept", {"seats": 1})]


def test_nobody_waits_for_people_for_ever(claim, alice, loop, outcomes, monkeypatch):
    monkeypatch.setattr(tool_asking, "FORM_SECONDS", 0.2)
    monkeypatch.setattr(tool_asking, "LEAST_SECONDS", 0.0)
    run_turn(loop, claim)
    assert outcomes == [Filled("cancel")] and call().form["action"] == "expired"
    problem(filler(alice, content={"seats": 1})(), 409, "already_filled")


def test_where_the_turn_has_to_end_soon_nobody_is_asked(claim, loop, outcomes, settings):
    settings.ASSISTANT_DEADLINE = tool_asking.LEAST_SECONDS + 3
    run_turn(loop, claim)
    assert outcomes == [Filled("cancel")] and call().form is None


def test_a_stop_ends_the_waiting(claim, alice, loop, outcomes):
    async def meanwhile(turn):
        await once_asked(lambda: asking.cancel(Message.objects.get(pk=claim.message_id), alice))
        turn.stop(Stop.LOST)

    run_turn(loop, claim, meanwhile)
    assert not outcomes and (call().status, call().asks) == ("cancelled", False)
    problem(filler(alice, content={"seats": 1})(), 409, "already_filled")


@pytest.mark.parametrize(("is_idempotent", "status"), [(False, "interrupted"), (True, "pending")])
def test_a_worker_that_dies_while_people_are_asked(session, alice, worker, is_idempotent, status):
    claim = claimed(answer_of(ask(session, alice)), worker)
    new = rounds.NewCall("c", "book", "{}", "Book", is_idempotent=is_idempotent)
    assert rounds.open_round(claim, Written("", 0), 1, [new]) and rounds.begin_calls(claim, rounds.open_calls(claim))
    assert form_filling.put(claim, call().pk, form_of("?", SCHEMA)) == 1
    form_filling.fill(call(), alice, 1, "accept", {"seats": 1})
    kill(worker)
    recovery.sweep()
    claiming.claim(claim.message_id, worker)
    assert (call().status, call().form_given, call().asks) == (status, None, False)
    assert form_filling.put(claim, call().pk, Form("late")) is None
    assert form_filling.close(claim, call().pk, 1) == Filled("cancel")


def test_what_was_filled_in_at_the_last_moment_counts(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c", "book", "{}", "Book")])
    assert rounds.begin_calls(claim, rounds.open_calls(claim))
    form_filling.put(claim, call().pk, form_of("?", SCHEMA))
    assert form_filling.taken(claim, call().pk, 1) is None
    form_filling.fill(call(), alice, 1, "accept", {"seats": 1})
    for _ in range(2):  # a commit's answer may have been lost
        assert form_filling.close(claim, call().pk, 1) == Filled("accept", {"seats": 1})
    assert form_filling.put(claim, call().pk, form_of("And then?", SCHEMA)) == 2
    with pytest.raises(Refused, match="answered already"):
        form_filling.fill(call(), alice, 1, "accept", {"seats": 1})


def test_what_is_filled_in_comes_in_the_order_it_was_asked_for(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c", "book", "{}", "Book")])
    assert rounds.begin_calls(claim, rounds.open_calls(claim))
    asked_for = {"seats": {"type": "integer"}, "class": {"type": "string"}, "at": {"type": "string"}}
    form_filling.put(claim, call().pk, form_of("?", {"properties": asked_for}))
    form_filling.fill(call(), alice, 1, "accept", {"seats": 1, "class": "2", "at": "the window"})
    # As PostgreSQL's jsonb gives an object back: short names first, whatever was stored.
    ToolCall.objects.update(form_given={"at": "the window", "class": "2", "seats": 1})
    assert list(form_filling.close(claim, call().pk, 1).content) == ["seats", "class", "at"]


def test_readers_by_a_link_see_no_form(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c", "book", "{}", "Book")])
    assert rounds.begin_calls(claim, rounds.open_calls(claim))
    form_filling.put(claim, call().pk, form_of("A secret?", SCHEMA))
    shown = public.message(wire.message_json(now(call().message)), "token")
    assert "secret" not in str(shown)


def test_the_api_tells_a_form_and_its_call_as_the_socket_does(session, alice, worker, client):
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c", "book", "{}", "Book")])
    assert rounds.begin_calls(claim, rounds.open_calls(claim))
    form_filling.put(claim, call().pk, form_of("Where to?", SCHEMA))
    told = wire.message_json(now(call().message))
    assert Caller(alice)("GET", f"/messages/{claim.message_id}").json() == told
    token = people.share(session, alice)[0].token
    shown = public.message(told, token)
    assert client.get(f"/api/shared/{token}/messages").json()["messages"][-1] == shown
    assert shown["tool_calls"][0]["arguments"] == "" and told["tool_calls"][0]["arguments"] == "{}"


def test_a_tool_s_time_stands_still_while_people_are_asked(loop):
    async def scenario():
        clock = Clock(0.1)

        async def tool():
            with clock.stopped(), clock.stopped():
                await asyncio.sleep(0.3)
            return "done"

        in_time = await clock.wait(asyncio.ensure_future(tool()))
        slow = Clock(0.05)
        endless = asyncio.ensure_future(asyncio.sleep(60))
        too_late = await slow.wait(endless)
        endless.cancel()
        with slow.stopped():  # whoever asks after that harms nothing
            return in_time, too_late

    assert loop.run(scenario()) == (True, False)


def test_a_tool_that_still_asks_when_nobody_waits_for_it_any_more_goes_on_undisturbed(loop):
    """Its turn was stopped: what is cleaned up behind it must not fail for its clock."""

    async def scenario():
        clock, asked = Clock(60), asyncio.Event()

        async def tool():
            with clock.stopped():
                asked.set()
                await asyncio.sleep(3600)

        working = asyncio.ensure_future(tool())
        waiting = asyncio.ensure_future(clock.wait(working))
        await asked.wait()
        waiting.cancel()
        await asyncio.wait({waiting})
        working.cancel()
        await asyncio.wait({working})
        return working.cancelled()

    assert loop.run(scenario()), "and no RuntimeError of the clock's"
