"""A session's share link: off by default, made and revoked by the owner; who has it reads along, live, and sees no more."""

import json
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from assistant import conf
from assistant.lifecycle import asking, people, session_changes
from assistant.models import ShareLink
from assistant.sockets import consumers
from tests.acting import answer_of, ask, claimed, finish, write
from tests.calling import Caller, problem
from tests.sockets import SECONDS, cookie_of, do, joined, opened, reading, tell, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(session, alice):
    return people.share(session, alice)[0].token


def messages(client, token, query=""):
    return client.get(f"/api/shared/{token}/messages{query}")


# --- making and ending it ---


def test_it_is_off_until_the_owner_makes_it(session, alice, bob, client):
    path = f"/sessions/{session.pk}/share"
    as_alice, as_bob = Caller(alice), Caller(bob)
    assert as_alice("get", path).json() == {"shared": False, "url": None}
    made = as_alice("post", path)
    assert made.status_code == 201 and made.json()["shared"]
    url = urlsplit(made.json()["url"])
    assert client.get(url.path).status_code == 200
    again = as_alice("post", path)
    assert (again.status_code, again.json()) == (200, made.json()), "there is one, and the owner can see it again"
    assert as_alice("get", path).json() == made.json()
    assert as_bob("get", path).json() == {"shared": True, "url": None}, "others know that it is shared"


def test_revoking_ends_it_and_a_new_link_is_another_one(session, alice, client):
    path = f"/sessions/{session.pk}/share"
    call = Caller(alice)
    first = urlsplit(call("post", path).json()["url"]).path
    assert call("delete", path).status_code == call("delete", path).status_code == 204
    assert client.get(first).status_code == 404
    second = urlsplit(call("post", path).json()["url"]).path
    assert second != first and client.get(first).status_code == 404 and client.get(second).status_code == 200


def test_everyone_in_the_session_is_told_that_it_is_shared_and_no_longer(session, alice, frames):
    people.share(session, alice)
    people.share(session, alice)
    people.unshare(session, alice)
    people.unshare(session, alice)
    assert frames == [{"type": "session.shared", "shared": True}, {"type": "session.shared", "shared": False}]


def test_the_token_is_not_in_the_database(token):
    assert token not in str(ShareLink.objects.values().get())


def test_it_ends_with_the_account_of_the_owner_and_goes_over_with_the_session(session, alice, bob, token, client):
    people.make_owner(session, alice, bob.pk)
    get_user_model().objects.filter(pk=alice.pk).update(is_active=False)
    assert messages(client, token).status_code == 200
    get_user_model().objects.filter(pk=bob.pk).update(is_active=False)
    assert messages(client, token).status_code == client.get(f"/shared/{token}/").status_code == 404


# --- what it opens ---


@pytest.mark.parametrize("name", [None, "charlie", "alice"])
def test_the_page_is_the_same_for_everyone_and_no_search_engine_may_keep_it(session, token, name, charlie):
    client = Client()
    if name:
        client.force_login(get_user_model().objects.get(username=name))
    response = client.get(f"/shared/{token}/")
    page = response.content.decode()
    assert response.status_code == 200 and "A room" in page and 'name="robots" content="noindex' in page
    assert response["X-Robots-Tag"] == "noindex, nofollow" and "no-store" in response["Cache-Control"]
    assert "data-composer" not in page and "data-sessions" not in page and "csrftoken" not in response.cookies
    assert str(session.pk) not in page and not any(who in page for who in ("alice", "bob", "vera", "charlie"))


def test_an_unknown_or_ended_link_has_a_page_that_says_so(client):
    response = client.get("/shared/unknown/")
    assert response.status_code == 404 and "doesn’t work any more" in response.content.decode()
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    problem(messages(client, "unknown"), 404, "not_found")


def test_it_opens_nothing_else(session, token, client, alice):
    answer = answer_of(ask(session, alice))
    for path in (f"/sessions/{session.pk}", f"/sessions/{session.pk}/messages", f"/messages/{answer.pk}"):
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            assert client.get(f"/api{path}?token={token}", headers=headers).status_code == 401


def test_readers_see_what_was_said_and_by_whom_and_not_what_waits(session, alice, bob, worker, token, client):
    claim = claimed(answer_of(ask(session, alice, "First")), worker)
    withdrawn = ask(session, bob, "A draft that was taken back").message
    asking.withdraw(withdrawn)
    ask(session, bob, "It waits")
    finish(claim, "Fine.")
    ask(session, alice, "It waits as well")
    page = messages(client, token).json()
    assert [m["content"] for m in page["messages"]] == ["First", "Fine.", "It waits", ""]
    assert page["messages"][0]["author"] == {"id": alice.pk, "name": "alice"}


def test_older_messages_come_in_pages(session, alice, worker, token, client):
    for number in range(3):
        finish(claimed(answer_of(ask(session, alice, f"{number}")), worker), f"answer {number}")
    newest = messages(client, token, "?limit=2").json()
    assert [m["content"] for m in newest["messages"]] == ["2", "answer 2"] and newest["has_more"]
    older = messages(client, token, f"?before={newest['messages'][0]['id']}").json()
    assert [m["content"] for m in older["messages"]] == ["0", "answer 0", "1", "answer 1"] and not older["has_more"]
    problem(messages(client, token, "?limit=0"), 422, "invalid")
    problem(messages(client, token, f"?before={session.pk}"), 422, "invalid")


def test_no_e_mail_address_no_prompt_and_no_price_is_shown(session, alice, bob, worker, token, client, loop):
    get_user_model().objects.filter(pk=bob.pk).update(username="bob@example.org", email="bob@example.org")
    get_user_model().objects.filter(pk=alice.pk).update(email="alice@example.org")
    session.system_prompt = "The secret prompt"
    session.save(update_fields=["system_prompt"])
    bob.refresh_from_db()
    finish(claimed(answer_of(ask(session, bob, "Hello")), worker), "Fine.")
    ask(session, bob, "Again")
    seen = [messages(client, token).content.decode(), client.get(f"/shared/{token}/").content.decode()]

    async def scenario():
        async with reading(session, token) as socket:
            seen.append(json.dumps(socket.seen))
            await do(people.change_role, session, alice, bob.pk, "viewer")
            await do(session_changes.change, session)
            updated = await socket.until("session.updated")
            seen.append(json.dumps(updated))
            seen.append(json.dumps(socket.seen))

    loop.run(scenario())
    for text in seen:
        assert "example.org" not in text and "secret prompt" not in text and "total_tokens" not in text
    snapshot = json.loads(seen[2])[0]
    assert [p["name"] for p in snapshot["participants"]] == ["bob"] and snapshot["online"] == []
    assert set(snapshot["participants"][0]) == {"id", "name", "color"}
    assert snapshot["you"]["role"] == "reader" and snapshot["session"]["role"] == "reader"


# --- live ---


def test_readers_are_told_what_people_call_the_model(session, alice, worker, token, client, loop, settings):
    settings.ASSISTANT_MODELS = [("Wise Owl", "openai/words")]
    finish(claimed(answer_of(ask(session, alice)), worker), "Fine.")
    claimed(answer_of(ask(session, alice)), worker)
    labels = [None, "Wise Owl", None, "Wise Owl"]
    assert [m["model_label"] for m in messages(client, token).json()["messages"]] == labels

    async def scenario():
        async with opened(session.pk, path=f"/ws/shared/{token}/") as socket:
            assert [m["model_label"] for m in (await socket.frame())["messages"]] == labels

    loop.run(scenario())


@pytest.mark.parametrize("who", ["nobody", "outsider", "participant"])
def test_a_reader_sees_an_answer_grow_and_end(session, alice, charlie, worker, token, loop, who):
    """Also over a cookie of somebody signed in, from whatever page: the link is what authorises."""
    user = {"nobody": None, "outsider": charlie, "participant": alice}[who]
    headers = [] if user is None else [cookie_of(user), (b"origin", b"http://elsewhere.example")]
    claim = claimed(answer_of(ask(session, alice)), worker)
    write(claim, "As ", 1)

    async def scenario():
        async with opened(session.pk, *headers, path=f"/ws/shared/{token}/") as socket:
            shown = (await socket.frame())["messages"][-1]
            assert (shown["content"], shown["seq"], shown["status"]) == ("As ", 1, "processing")
            delta = {
                "message_id": str(claim.message_id), "attempt": 1, "seq": 2, "text": "far",
                "blocks": {"from": 0, "html": ["<p>As far</p>"]},
            }  # fmt: skip
            await do(tell_compactly, session, "message.delta", delta)
            await socket.until("message.delta")
            assert socket.state.messages[str(claim.message_id)]["content"] == "As far"
            assert await do(finish, claim, "As far as it goes.")
            ended = (await socket.until("message.updated"))["message"]
            assert (ended["status"], ended["content"]) == ("success", "As far as it goes.")

    loop.run(scenario())


def tell_compactly(session, type_, fields):
    from django.db import transaction

    from assistant.presentation import broadcast, wire

    with transaction.atomic():
        broadcast.on_commit(session.pk, wire.encode(type_, **fields))


def test_revoking_disconnects_readers_at_once_and_nobody_else(session, alice, token, loop):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as a, reading(session, token) as r:

            def end_and_go_on():
                people.unshare(session, alice)
                ask(session, alice, "Now we are among ourselves")

            await do(end_and_go_on)
            rest = []
            while (output := await r.communicator.receive_output(SECONDS))["type"] != "websocket.close":
                rest.append(output["text"])
            assert output["code"] == 4403 and not [text for text in rest if "among ourselves" in text]
            await a.send({"type": "ping"})
            await a.until("pong")
        async with opened(session.pk, path=f"/ws/shared/{token}/") as again:
            assert await again.close_code() == 4404

    loop.run(scenario())


def test_a_deleted_session_sends_its_readers_away(session, token, loop):
    async def scenario():
        async with reading(session, token) as r:
            await do(session_changes.delete, session)
            assert await r.close_code() == 4404

    loop.run(scenario())


def test_a_revocation_that_was_not_heard_is_found_by_the_roll_call(session, token, loop, settings):
    settings.ASSISTANT_PRESENCE = 0.3

    async def scenario():
        async with reading(session, token) as r:
            await do(lambda: ShareLink.objects.all().delete())
            assert await r.close_code() == 4403

    loop.run(scenario())


def test_readers_are_counted_and_not_named(session, alice, charlie, token, loop):
    headers = token_of(alice), token_of(charlie)

    async def scenario():
        async with joined(session, headers[0]) as a:
            async with reading(session, token) as first:
                await a.until("presence", online=[alice.pk], readers=1)
                async with opened(session.pk, headers[1], path=f"/ws/shared/{token}/") as second:
                    assert (await second.frame())["readers"] == 2
                    await a.until("presence", online=[alice.pk], readers=2)
                await a.until("presence", readers=1)
                assert "presence" not in {frame["type"] for frame in first.seen}
            await a.until("presence", readers=0)

    loop.run(scenario())


# --- no flood ---


def test_only_so_many_read_along_at_a_time(session, token, loop, settings):
    settings.ASSISTANT_SHARE_READERS = 1

    async def scenario():
        async with reading(session, token) as first:
            async with opened(session.pk, path=f"/ws/shared/{token}/") as second:
                assert (await second.frame())["code"] == "too_many_readers"
                assert await second.close_code() == 1013
            await first.send({"type": "sync"})
            await first.until("session.snapshot")
        async with reading(session, token):
            pass

    loop.run(scenario())


def test_who_asks_for_snapshots_all_the_time_gets_one_now_and_one_later(session, token, loop, monkeypatch):
    monkeypatch.setattr(consumers, "SYNC_EVERY_SECONDS", 0.5)

    async def scenario():
        async with reading(session, token) as socket:
            for _ in range(50):
                await socket.send({"type": "sync"})
            await socket.send({"type": "ping"})
            await socket.until("pong")
            assert [frame["type"] for frame in socket.seen].count("session.snapshot") == 2
            await socket.until("session.snapshot")
            await socket.send({"type": "ping"})
            await socket.until("pong")
            assert [frame["type"] for frame in socket.seen].count("session.snapshot") == 3

    loop.run(scenario())


def test_pages_and_files_of_a_link_have_a_rate(session, token, client, settings):
    settings.ASSISTANT_SHARE_RATE = 2
    assert [client.get(f"/shared/{token}/").status_code, messages(client, token).status_code] == [200, 200]
    refused = messages(client, token)
    problem(refused, 429, "too_many_requests")
    assert 0 < int(refused["Retry-After"]) <= 31
    page = client.get(f"/shared/{token}/")
    assert page.status_code == 429 and "Try again in a while" in page.content.decode() and page["Retry-After"]


def test_the_limits_are_settings():
    assert conf.settings.share_readers == 100 and conf.settings.share_rate == 600


def test_a_reader_who_sends_typing_is_refused(session, token, alice, loop):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as a, reading(session, token) as r:
            await r.send({"type": "typing", "active": True})
            assert (await r.until("error"))["code"] == "unknown_type"
            await do(tell, session, {"type": "mark"})
            await a.until("mark")
            assert "typing" not in {frame["type"] for frame in a.seen}

    loop.run(scenario())
