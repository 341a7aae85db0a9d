"""Who is here: several tabs are one person, and who is no longer heard is not. And whether each may still see."""

import asyncio
import uuid

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError

from assistant import access, conf
from assistant.delivery import valkey
from assistant.models import ApiToken, Participant
from assistant.models.participant import Role
from assistant.sockets import consumers, presence, revalidation
from assistant.sockets.presence import Online
from tests.acting import answer_of, ask, claimed, finish
from tests.sockets import OWN, SECONDS, cookie_of, do, joined, opened, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def swift(settings):
    """Presence that expires soon."""
    settings.ASSISTANT_PRESENCE = 0.6


# --- the entries ---


def test_several_tabs_are_one_person_and_readers_are_a_number():
    session = uuid.uuid4()
    assert presence.enter(session, 7, "a") == Online([7], 0)
    assert presence.enter(session, 7, "b") == Online([7], 0)
    assert presence.enter(session, None, "c") == Online([7], 1)
    assert presence.enter(session, 3, "d") == Online([3, 7], 1)
    assert presence.leave(session, 7, "a") == Online([3, 7], 1)
    assert presence.leave(session, 7, "b") == Online([3], 1)
    assert presence.leave(session, None, "c") == Online([3], 0) == presence.look(session)


def test_an_id_may_be_any_text():
    session = uuid.uuid4()
    for user in ("reader", "7", "a:b", "=", ""):
        presence.enter(session, user, "socket")
    assert presence.enter(session, None, "socket") == Online(["", "7", "=", "a:b", "reader"], 1)
    other = uuid.UUID(int=7)
    assert presence.enter(uuid.uuid4(), other, "socket") == Online([str(other)], 0)


def test_an_entry_that_nobody_renews_expires_and_leaves_nothing(settings):
    settings.ASSISTANT_PRESENCE = 0.2
    session = uuid.uuid4()
    presence.enter(session, 7, "a")
    key = f"{valkey.PREFIX}:online:{session.hex}"
    assert 0 < valkey.client().pttl(key) <= 200
    wait_until(lambda: presence.look(session) == Online([], 0))
    wait_until(lambda: not valkey.client().exists(key))


def test_renewing_tells_once_where_somebody_has_expired(settings):
    session, other = uuid.uuid4(), uuid.uuid4()
    settings.ASSISTANT_PRESENCE = 0.2
    presence.enter(session, 7, "dead")
    settings.ASSISTANT_PRESENCE = 60
    presence.enter(session, 8, "a")
    presence.enter(other, 8, "b")
    mine = {session: [(8, "a")], other: [(8, "b")]}
    found = []
    wait_until(lambda: found.append(presence.renew(mine)) or found[-1])
    assert found[-1] == {session: Online([8], 0)} and presence.renew(mine) == {}


def wait_until(condition):
    import time

    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- sockets ---


def test_who_is_here_stays_here_however_long(session, alice, loop, swift):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as socket:
            for _ in range(3):
                await asyncio.sleep(0.5)  # longer than an entry lasts, all in all
                assert presence.look(session.pk) == Online([alice.pk], 0)
            assert [f["online"] for f in socket.seen if f["type"] == "presence"] == [[alice.pk]]

    loop.run(scenario())


def test_the_others_are_told_when_a_web_process_died_with_its_viewers(session, alice, bob, loop, swift):
    """Nobody says goodbye for them: their entries expire, and a living process tells it."""
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as a:
            presence.enter(session.pk, bob.pk, "of a process that is dead by now")
            await a.send({"type": "sync"})
            assert (await a.until("session.snapshot"))["online"] == sorted([alice.pk, bob.pk])
            await a.until("presence", online=[alice.pk])

    loop.run(scenario())


def test_nothing_is_called_when_nobody_is_left(session, alice, loop, swift):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header):
            assert revalidation._seats and revalidation._caller is not None
        assert not revalidation._seats and revalidation._caller is None
        async with joined(session, header):
            assert len(revalidation._seats) == 1

    loop.run(scenario())


# --- typing ---


def test_typing_is_told_at_most_once_in_a_while_and_its_end_at_once(session, alice, bob, loop):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a:
            async with joined(session, headers[1]) as b:
                for _ in range(20):
                    await b.send({"type": "typing", "active": True})
                await b.send({"type": "typing", "active": False})
                await b.send({"type": "typing", "active": False})
                await a.until("typing", active=False)
                await b.send({"type": "typing", "active": True})
                await a.until("typing", active=True)
            await a.until("typing", active=False)  # the tab was closed while they typed
            told = [frame["active"] for frame in a.seen if frame["type"] == "typing"]
            assert told == [True, False, True, False]

    loop.run(scenario())


# --- the roll call: what no event has told ---


def test_a_removal_that_was_not_heard_is_found_although_an_answer_streams(session, alice, bob, worker, loop, swift):
    """Race 35, with the message lost that says so at once."""
    claim = claimed(answer_of(ask(session, bob)), worker)
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            await do(lambda: Participant.objects.filter(user=bob).delete())
            assert await b.close_code() == 4403
            assert await do(finish, claim, "Fine.")
            assert (await a.until("message.updated"))["message"]["content"] == "Fine."

    loop.run(scenario())


def test_a_change_of_role_that_was_not_heard_is_found(session, alice, bob, loop, swift):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            await do(lambda: Participant.objects.filter(user=bob).update(role=Role.VIEWER))
            told = await b.until("session.snapshot")
            assert told["you"]["role"] == "viewer"
            await b.send({"type": "typing", "active": True})
            await b.until("error")
            await a.send({"type": "ping"})
            await a.until("pong")
            assert [frame["type"] for frame in a.seen].count("session.snapshot") == 1, "who is right is left alone"

    loop.run(scenario())


@pytest.mark.parametrize("by", ["the roll call", "a sync"])
def test_a_closed_account_sees_nothing_more_and_hears_that_it_is_nobody(session, bob, loop, swift, monkeypatch, by):
    header = token_of(bob)
    if by == "a sync":
        monkeypatch.setattr(revalidation, "_look", lambda database: asyncio.sleep(0))

    async def scenario():
        async with joined(session, header) as b:
            await do(lambda: type(bob).objects.filter(pk=bob.pk).update(is_active=False))
            if by == "a sync":
                await b.send({"type": "sync"})
            assert await b.close_code() == 1013
        async with opened(session.pk, header) as again:
            assert await again.close_code() == 4401

    loop.run(scenario())


@pytest.mark.parametrize("ending", ["closed", "deleted", "signed out"])
def test_who_has_no_account_any_more_hears_nothing_more_of_their_list(ending, session, bob, loop, swift):
    cookie = cookie_of(bob)

    def end():
        if ending == "closed":
            type(bob).objects.filter(pk=bob.pk).update(is_active=False)
        elif ending == "deleted":
            bob.delete()
        else:
            Session.objects.all().delete()

    async def scenario():
        async with opened(None, cookie, OWN, path="/ws/sessions/") as socket:
            await socket.until("list.snapshot")
            await do(end)
            assert await socket.close_code() == 1013
        async with opened(None, cookie, OWN, path="/ws/sessions/") as again:
            assert await again.close_code() == 4401

    loop.run(scenario())


def test_a_revoked_token_and_an_ended_sign_in_are_asked_to_come_again_and_are_nobody_then(
    session, bob, alice, loop, swift
):
    by_token, by_cookie, other = token_of(bob), cookie_of(bob), token_of(alice)

    async def scenario():
        async with (
            joined(session, other) as stays,
            opened(session.pk, by_token) as t,
            opened(session.pk, by_cookie, OWN) as c,
        ):
            await t.until("presence")
            await c.until("presence")
            await do(lambda: (ApiToken.objects.filter(user=bob).delete(), Session.objects.all().delete()))
            assert [await t.close_code(), await c.close_code()] == [1013, 1013]
            await stays.send({"type": "ping"})
            await stays.until("pong")
        for header in (by_token, by_cookie):
            async with opened(session.pk, header, OWN) as again:
                assert await again.close_code() == 4401

    loop.run(scenario())


def test_another_password_ends_the_sockets_of_earlier_sign_ins_and_no_others(session, bob, alice, loop, swift):
    earlier, other = cookie_of(bob), cookie_of(alice)

    def change():
        bob.set_password("violet harbour 9")
        bob.save()

    async def scenario():
        async with (
            opened(session.pk, other, OWN) as stays,
            opened(session.pk, earlier, OWN) as of_session,
            opened(None, earlier, OWN, path="/ws/sessions/") as of_list,
        ):
            await of_session.until("presence")
            await of_list.until("list.snapshot")
            await do(change)
            assert [await of_session.close_code(), await of_list.close_code()] == [1013, 1013]
            await stays.send({"type": "ping"})
            await stays.until("pong")
        async with opened(session.pk, cookie_of_now := await do(cookie_of, bob), OWN) as again:
            assert cookie_of_now != earlier and (await again.frame())["type"] == "session.snapshot"

    loop.run(scenario())


def test_while_the_database_is_away_nobody_is_judged(session, alice, loop, swift, monkeypatch):
    header = token_of(alice)
    calls = []

    def away(*_):
        calls.append(1)
        raise OperationalError("away")

    async def scenario():
        async with joined(session, header) as socket:
            monkeypatch.setattr(access, "roles", away)
            while len(calls) < 2:
                await asyncio.sleep(0.02)
            await socket.send({"type": "ping"})
            await socket.until("pong")
            assert presence.look(session.pk) == Online([alice.pk], 0), "and is here"

    loop.run(scenario())


def test_the_roll_needs_no_more_queries_for_more_sockets(session, alice, bob, django_assert_num_queries):
    seats = {
        f"channel-{number}": revalidation.Seat(session.pk, user.pk, role, access.Credential("token", str(number)))
        for number in range(50)
        for user, role in ((alice, "owner"), (bob, "editor"))
    }
    with django_assert_num_queries(3):  # credentials, roles, accounts
        revalidation._wrong(seats)


def test_the_real_time_is_half_a_minute_and_the_roll_is_called_thrice_in_it():
    assert presence.expire_seconds() == 30 == conf.settings.presence and revalidation.CALLS == 3
    assert consumers.TYPING_TOLD_EVERY_SECONDS < 2.5, "the page says it every 2.5 s"
