"""The socket: who gets in, what comes first, what is relayed, and how it ends."""

import uuid

import pytest
from channels.testing import WebsocketCommunicator
from django.db import OperationalError, transaction

from assistant.lifecycle import answering, asking, session_changes
from assistant.lifecycle.joining import snapshot
from assistant.models import Message, Participant
from assistant.presentation import broadcast, events
from assistant.presentation.snapshot import PAGE
from assistant.sockets import consumers
from tests.acting import answer_of, ask, claimed, finish, kill, lose_job, now, write
from tests.sockets import OWN, SECONDS, Socket, cookie_of, do, joined, opened, tell, token_of

pytestmark = pytest.mark.django_db(transaction=True)

# --- who gets in ---


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [OWN],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Basic YTpi")],
        [(b"cookie", b"sessionid=wrong"), OWN],
    ],
)
def test_nobody_is_told_4401(session, loop, headers):
    async def scenario():
        async with opened(session.pk, *headers) as socket:
            assert await socket.close_code() == 4401
            assert socket.seen == []

    loop.run(scenario())


@pytest.mark.parametrize("way", [cookie_of, token_of])
def test_an_outsider_is_told_4404_and_sees_nothing(session, charlie, loop, way):
    header = way(charlie)

    async def scenario():
        async with opened(session.pk, header, OWN) as socket:
            output = await socket.communicator.receive_output(SECONDS)
            assert output == {"type": "websocket.close", "code": 4404} | (
                {"reason": None} if "reason" in output else {}
            )

    loop.run(scenario())


def test_a_session_that_does_not_exist_is_told_as_one_that_is_not_yours(session, alice, loop):
    header = token_of(alice)

    async def scenario():
        async with opened(uuid.uuid4(), header) as socket:
            assert await socket.close_code() == 4404

    loop.run(scenario())


@pytest.mark.parametrize("path", ["/ws/sessions/7/", "/ws/sessions/not-an-id/", "/ws/nothing", "/ws/shared/"])
def test_an_address_at_which_there_is_nothing_is_told_as_a_session_that_is_not_yours(alice, loop, path):
    header = token_of(alice)

    async def scenario():
        async with opened(None, header, path=path) as socket:
            assert await socket.close_code() == 4404
        async with opened(None, path=path) as socket:
            assert await socket.close_code() == 4401

    loop.run(scenario())


@pytest.mark.parametrize("role", ["alice", "bob", "vera"])
@pytest.mark.parametrize("way", [cookie_of, token_of])
def test_each_participant_gets_the_snapshot_first(session, loop, request, role, way):
    user = request.getfixturevalue(role)
    header = way(user)
    expected = {"alice": "owner", "bob": "editor", "vera": "viewer"}[role]

    async def scenario():
        async with opened(session.pk, header, OWN) as socket:
            first = await socket.frame()
            assert first["type"] == "session.snapshot"
            assert (first["you"]["id"], first["you"]["name"], first["you"]["role"]) == (user.pk, role, expected)
            assert first["session"]["role"] == expected and 0 <= first["you"]["color"] < 360
            assert [p["name"] for p in first["participants"]] == ["alice", "bob", "vera"]
            assert first["online"] == [user.pk] and first["messages"] == [] and first["has_more"] is False

    loop.run(scenario())


@pytest.mark.parametrize(
    "origin",
    [None, b"null", b"", b"http://evil.example", b"http://testserver.evil.example", b"http://evil-testserver",
     b"http://testserver:8001", b"testserver", b"http://testserver@evil.example", b"http://["],
)  # fmt: skip
def test_a_cookie_counts_only_with_an_origin_of_this_site(session, alice, loop, origin):
    headers = [cookie_of(alice), *([] if origin is None else [(b"origin", origin)])]

    async def scenario():
        async with opened(session.pk, *headers) as socket:
            assert await socket.close_code() == 4401

    loop.run(scenario())


def test_a_host_that_is_not_ours_is_no_origin_of_ours(session, alice, loop):
    """DNS rebinding: somebody else's name leads to this server, and the browser's Origin and Host agree."""
    cookie = cookie_of(alice)

    async def scenario():
        from project.asgi import application

        headers = [(b"host", b"evil.example"), (b"origin", b"http://evil.example"), cookie]
        communicator = WebsocketCommunicator(application, f"/ws/sessions/{session.pk}/", headers=headers)
        assert (await communicator.connect(SECONDS))[0]
        assert await Socket(communicator).close_code() == 4401
        await communicator.disconnect(timeout=SECONDS)

    loop.run(scenario())


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        (b"https://proxy.example", None),
        (b"https://chat.rooms.example", None),
        (b"http://proxy.example", 4401),
        (b"https://other.proxy.example", 4401),
        (b"https://evil-rooms.example", 4401),
    ],
)
def test_a_trusted_origin_counts_as_it_does_for_forms(session, alice, loop, settings, origin, code):
    settings.CSRF_TRUSTED_ORIGINS = ["https://proxy.example", "https://*.rooms.example"]
    cookie = cookie_of(alice)

    async def scenario():
        async with opened(session.pk, cookie, (b"origin", origin)) as socket:
            if code:
                assert await socket.close_code() == code
            else:
                assert (await socket.frame())["type"] == "session.snapshot"

    loop.run(scenario())


def test_an_inactive_user_is_nobody(session, alice, loop):
    headers = token_of(alice), cookie_of(alice)
    alice.is_active = False
    alice.save()

    async def scenario():
        for header in headers:
            async with opened(session.pk, header, OWN) as socket:
                assert await socket.close_code() == 4401

    loop.run(scenario())


@pytest.mark.parametrize("who", ["charlie", None])
def test_who_was_refused_can_do_nothing_with_the_frames_they_sent_meanwhile(session, alice, charlie, loop, who):
    """A client may send before it hears that it is refused; the frames wait behind the refusal."""
    inside = token_of(alice)
    outside = [token_of(charlie)] if who else []

    async def scenario():
        async with joined(session, inside) as witness, opened(session.pk, *outside) as refused:
            for frame in ({"type": "typing", "active": True}, {"type": "sync"}, {"type": "ping"}, "{"):
                await refused.send(frame)
            assert await refused.close_code() in (4401, 4404)
            await refused.communicator.send_input({"type": "websocket.disconnect", "code": 4404})
            await refused.communicator.wait(SECONDS)  # raises what the consumer raised
            await do(tell, session, {"type": "typing", "user": None, "active": False})
            assert (await witness.until("typing"))["user"] is None, "only the witness's own mark is heard"
            rest = []
            while not refused.communicator.output_queue.empty():
                rest.append(refused.communicator.output_queue.get_nowait())
            assert not [output for output in rest if output["type"] == "websocket.send"]

    loop.run(scenario())


# --- the snapshot ---


def test_the_newest_fifty_come_oldest_first(session, alice, loop):
    for n in range(30):
        ask_row(session, alice, n)
    header = token_of(alice)

    async def scenario():
        async with opened(session.pk, header) as socket:
            return await socket.frame()

    first = loop.run(scenario())
    assert len(first["messages"]) == 50 and first["has_more"] is True
    assert first["messages"][-1]["content"] == "answer 29" and first["messages"][0]["content"] == "question 5"


def ask_row(session, author, n):
    question = Message.objects.create(
        session=session, role="user", author=author, content=f"question {n}", position=2 * n + 2, status="success"
    )
    Message.objects.create(
        session=session, role="assistant", content=f"answer {n}", position=2 * n + 3, status="success",
        reply_to=question,
    )  # fmt: skip


def test_an_answer_being_written_comes_with_its_text_so_far_and_its_seq(session, alice, vera, worker, loop):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("As", 1)})
    write(claim, "As **far** as", 3)
    header = token_of(vera)

    async def scenario():
        async with opened(session.pk, header) as socket:
            shown = (await socket.frame())["messages"][-1]
            assert (shown["content"], shown["seq"], shown["alive"]) == ("As **far** as", 3, True)
            assert "<strong>far</strong>" in shown["html"][0]

    loop.run(scenario())


def test_nothing_is_shown_as_loading_that_is_dead(session, alice, vera, worker, loop):
    claimed(answer_of(ask(session, alice)), worker)
    kill(worker)
    header = token_of(vera)

    async def scenario():
        async with opened(session.pk, header) as socket:
            return (await socket.frame())["messages"][-1]

    shown = loop.run(scenario())
    assert (shown["status"], shown["alive"]) == ("pending", True)


def test_a_waiting_answer_without_a_job_is_brought_on_by_a_join(session, alice, vera, loop):
    answer = answer_of(ask(session, alice))
    lose_job(answer)
    header = token_of(vera)

    async def scenario():
        async with opened(session.pk, header) as socket:
            return (await socket.frame())["messages"][-1]

    assert loop.run(scenario())["alive"] is True and now(answer).is_alive()


# --- nothing is missed in between ---


def test_what_happens_between_the_reading_and_the_sending_of_the_snapshot_arrives_after_it(
    session, alice, worker, loop, monkeypatch
):
    """Subscribe first, then read: the answer ends just after the snapshot was read."""
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    real = consumers.snapshot

    def read_and_then_it_ends(session_id, user):
        state = real(session_id, user)
        finish(claim, "Fine.")
        broadcast.flush(SECONDS)
        return state

    monkeypatch.setattr(consumers, "snapshot", read_and_then_it_ends)
    header = token_of(alice)

    async def scenario():
        async with opened(session.pk, header) as socket:
            assert (await socket.frame())["messages"][-1]["status"] == "processing"
            ended = await socket.until("message.updated")
            assert (ended["message"]["status"], ended["message"]["content"]) == ("success", "Fine.")

    loop.run(scenario())


def delta(claim, seq, text, start=0):
    return {
        "type": "message.delta", "message_id": str(claim.message_id), "attempt": claim.attempt, "seq": seq,
        "text": text, "blocks": {"from": start, "html": []},
    }  # fmt: skip


def test_a_delta_that_the_snapshot_holds_already_is_not_applied_twice(session, alice, worker, loop, monkeypatch):
    """Race 28: appended, then read, then published."""
    claim = claimed(answer_of(ask(session, alice)), worker)
    write(claim, "As far", 2)
    real = consumers.snapshot

    def read_and_then_it_is_published(session_id, user):
        state = real(session_id, user)
        tell(session, delta(claim, 1, "As "))
        tell(session, delta(claim, 2, "far"))
        tell(session, delta(claim, 3, " as"))
        broadcast.flush(SECONDS)
        return state

    monkeypatch.setattr(consumers, "snapshot", read_and_then_it_is_published)
    header = token_of(alice)

    async def scenario():
        async with opened(session.pk, header) as socket:
            await socket.until("message.delta", seq=3)
            shown = socket.state.messages[str(claim.message_id)]
            assert (shown["content"], shown["seq"], socket.state.is_stale) == ("As far as", 3, False)

    loop.run(scenario())


def test_a_hole_is_seen_and_a_sync_closes_it(session, alice, worker, loop):
    """Race 20: what was published before the subscription took effect is missing, and seq shows it."""
    claim = claimed(answer_of(ask(session, alice)), worker)
    write(claim, "As ", 1)
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as socket:
            write(claim, "As far as ", 3)
            await do(tell, session, delta(claim, 3, "as "))
            await socket.until("message.delta")
            assert socket.state.is_stale
            await socket.send({"type": "sync"})
            await socket.until("session.snapshot")
            shown = socket.state.messages[str(claim.message_id)]
            assert (shown["content"], shown["seq"], socket.state.is_stale) == ("As far as ", 3, False)
            await do(tell, session, delta(claim, 4, "it"))
            await socket.until("message.delta", seq=4)
            assert socket.state.messages[str(claim.message_id)]["content"] == "As far as it"

    loop.run(scenario())


def test_reconnecting_twice_in_a_row_skips_nothing(session, alice, worker, loop):
    """Race 21."""
    claim = claimed(answer_of(ask(session, alice)), worker)
    header = token_of(alice)

    async def scenario():
        text = ""
        for seq in range(1, 6):
            text += f"{seq} "
            write(claim, text, seq)
            async with joined(session, header) as socket:
                await do(tell, session, delta(claim, seq, f"{seq} "))
                await do(tell, session, {"type": "mark", "seq": seq})
                await socket.until("mark", seq=seq)
                shown = socket.state.messages[str(claim.message_id)]
                assert (shown["content"], shown["seq"]) == (text, seq)

    loop.run(scenario())


# --- frames ---


def test_everyone_hears_of_what_one_does_and_so_does_the_one(session, alice, bob, vera, loop):
    headers = [token_of(user) for user in (alice, bob, vera)]

    async def scenario():
        async with (
            joined(session, headers[0]) as a,
            joined(session, headers[1]) as b,
            joined(session, headers[2]) as v,
        ):
            sent = await do(ask, session, alice, "Hello")
            for socket in (a, b, v):
                created = await socket.until("message.created")
                assert created["message"]["id"] == str(sent.message.pk)
                await socket.until("session.updated")
                assert len(socket.state.messages) == 2 and socket.state.session["running"] is True

    loop.run(scenario())


def test_frames_of_another_session_are_not_heard(session, alice, loop):
    from assistant.models import ChatSession
    from assistant.models.participant import Role

    other = ChatSession.objects.create()
    Participant.objects.create(session=other, user=alice, role=Role.OWNER)
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as socket:
            await do(ask, other, alice)
            await do(tell, session, {"type": "mark"})
            await socket.until("mark")
            assert not [frame for frame in socket.seen if frame["type"].startswith("message")]

    loop.run(scenario())


def test_the_snapshot_says_that_an_answer_is_written_further_back_than_it_reaches(session, alice, worker):
    first = answer_of(ask(session, alice))
    finish(claimed(first, worker))
    for number in range(PAGE):
        Message.objects.create(session=session, role="user", status="success", author=alice, position=2 * number + 10)
    asking.retry(first, by=alice)
    shown = snapshot(session.pk, alice)
    assert shown["session"]["running"] and not [m for m in shown["messages"] if m["role"] == "assistant"]


def test_ping_is_answered_pong_and_sync_with_a_snapshot(session, alice, loop):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as socket:
            await socket.send({"type": "ping"})
            assert await socket.until("pong") == {"type": "pong"}
            await do(ask, session, alice)
            await socket.send({"type": "sync"})
            assert len((await socket.until("session.snapshot"))["messages"]) == 2

    loop.run(scenario())


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "bad_frame"),
        ("{", "bad_frame"),
        ("[]", "bad_frame"),
        ("3", "bad_frame"),
        ("{}", "bad_frame"),
        ({"type": 3}, "bad_frame"),
        ({"type": "typing", "active": True, "rest": "x" * 4096}, "bad_frame"),
        ({"type": "typing", "active": "yes"}, "unknown_type"),
        ({"type": "typing"}, "unknown_type"),
        ({"type": "message.delta"}, "unknown_type"),
        ({"type": "access.ended"}, "unknown_type"),
        ("[" * 2000, "bad_frame"),
        ("1" * 4095, "bad_frame"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_frame_is_answered_with_an_error_and_the_socket_stays(session, alice, loop, frame, code):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as socket:
            await socket.send(frame)
            error = await socket.until("error")
            assert error["code"] == code and error["detail"].endswith(".")
            await socket.send({"type": "ping"})
            await socket.until("pong")

    loop.run(scenario())


def test_a_binary_frame_is_a_bad_frame(session, alice, loop):
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as socket:
            await socket.communicator.send_input({"type": "websocket.receive", "bytes": b"\xff\x00"})
            assert (await socket.until("error"))["code"] == "bad_frame"

    loop.run(scenario())


def test_typing_is_told_with_its_name(session, alice, bob, loop):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            for active in (True, False):
                await b.send({"type": "typing", "active": active})
                told = await a.until("typing")
                assert told == {"type": "typing", "user": {"id": bob.pk, "name": "bob"}, "active": active}

    loop.run(scenario())


def test_presence_tells_who_comes_and_goes(session, alice, bob, loop):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a:
            async with joined(session, headers[1]):
                await a.until("presence", online=sorted([alice.pk, bob.pk]))
                async with joined(session, headers[1]):
                    await a.until("presence", online=sorted([alice.pk, bob.pk]))
                await a.until("presence", online=sorted([alice.pk, bob.pk]))  # one of two tabs was closed
            await a.until("presence", online=[alice.pk])

    loop.run(scenario())


# --- the end of access ---


def remove(session, user):
    with transaction.atomic():
        Participant.objects.filter(session=session, user=user).delete()
        events.access_ended(session.pk, user.pk)


def test_who_is_removed_is_told_4403_and_the_others_stay(session, alice, bob, loop):
    """Race 35."""
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            await do(remove, session, bob)
            assert await b.close_code() == 4403
            await a.send({"type": "ping"})
            await a.until("pong")
        async with opened(session.pk, headers[1]) as again:
            assert await again.close_code() == 4404

    loop.run(scenario())


def test_who_was_removed_unheard_learns_it_from_the_next_sync(session, bob, loop):
    header = token_of(bob)

    async def scenario():
        async with joined(session, header) as socket:
            await do(lambda: Participant.objects.filter(user=bob).delete())
            await socket.send({"type": "sync"})
            assert await socket.close_code() == 4403

    loop.run(scenario())


def test_the_answer_to_one_who_was_removed_goes_on(session, bob, alice, worker, loop):
    answer = answer_of(ask(session, bob))
    claim = claimed(answer, worker)
    header = token_of(alice)

    async def scenario():
        async with joined(session, header) as a:
            await do(remove, session, bob)
            assert await do(finish, claim, "Fine.")
            assert (await a.until("message.updated"))["message"]["content"] == "Fine."

    loop.run(scenario())


def test_the_question_of_a_deleted_user_stays_and_is_answered(session, bob, worker):
    answer = answer_of(ask(session, bob))
    claim = claimed(answer, worker)
    bob.delete()
    assert finish(claim) and now(answer).reply_to.author is None


def test_a_deleted_session_closes_its_sockets_with_4404(session, alice, bob, loop):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            await do(session_changes.delete, session)
            assert [await a.close_code(), await b.close_code()] == [4404, 4404]

    loop.run(scenario())


# --- when a part is away ---


def test_without_the_database_a_viewer_is_asked_to_come_again(session, alice, loop, monkeypatch):
    def away(session_id, user):
        raise OperationalError("away")

    monkeypatch.setattr(consumers, "snapshot", away)
    header = token_of(alice)

    async def scenario():
        async with opened(session.pk, header) as socket:
            assert await socket.close_code() == 1013

    loop.run(scenario())


def test_without_the_database_a_sync_asks_to_come_again(session, alice, loop, monkeypatch):
    header = token_of(alice)

    def away(session_id, user):
        raise OperationalError("away")

    async def scenario():
        async with joined(session, header) as socket:
            monkeypatch.setattr(consumers, "snapshot", away)
            await socket.send({"type": "sync"})
            assert await socket.close_code() == 1013

    loop.run(scenario())


def test_without_valkey_a_viewer_is_asked_to_come_again(session, alice, loop, settings):
    """The channel layer is asked for a channel before the consumer has its say."""
    import copy

    layers = copy.deepcopy(settings.CHANNEL_LAYERS)
    layers["default"]["CONFIG"]["hosts"] = [{"address": "unix:///nowhere/at.all", "socket_connect_timeout": 1}]
    settings.CHANNEL_LAYERS = layers
    header = token_of(alice)

    async def scenario():
        async with opened(session.pk, header) as socket:
            assert await socket.close_code() == 1013

    loop.run(scenario())
