"""The list of one's sessions: what is unread, what is put away, and what its socket tells."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from assistant.lifecycle import asking, own_list, people, session_changes, steering
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Invitation, Participant
from assistant.models.participant import Role
from assistant.presentation import sidebar
from tests.acting import answer_of, ask, claimed, finish
from tests.calling import Caller, problem
from tests.sockets import do, opened, token_of

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/ws/sessions/"


def listed(user, **wanted):
    return sidebar.listed(user, **wanted)[0]


def entry(user, session):
    """The session in the user's list, archived or not."""
    return next(e for e in listed(user) + listed(user, archived=True) if e["id"] == str(session.pk))


def unread(user, session):
    return entry(user, session)["yours"]["unread"]


@pytest.mark.parametrize("form", ["2026-11-20 10:00:00.123", "2026-11-20 10:00:00.123000", "2026-11-20 10:00:00"])
def test_pages_meet_each_session_once_however_its_time_was_stored(alice, form):
    """Earlier releases stored some with three digits. As texts of SQLite they are not those that they are as times."""
    made = ChatSession.objects.bulk_create(ChatSession(title=f"Room {number}") for number in range(4))
    Participant.objects.bulk_create(Participant(session=room, user=alice, role=Role.OWNER) for room in made)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE assistant_chatsession SET updated_at = %s", [form if is_sqlite() else f"{form}+00"])
    met, before = [], None
    for _ in made:
        [one], _ = sidebar.listed(alice, limit=1, before=before)
        met.append(one["id"])
        before = ChatSession.objects.get(pk=one["id"])
    assert met == [str(room.pk) for room in reversed(made)] and sidebar.listed(alice, before=before) == ([], False)


def is_sqlite():
    return connection.vendor == "sqlite"


# --- unread ---


def test_a_question_and_the_end_of_its_answer_are_unread_by_everyone_else(session, alice, bob, vera, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert [unread(user, session) for user in (alice, bob, vera)] == [0, 1, 1]
    finish(claim)
    assert [unread(user, session) for user in (alice, bob, vera)] == [1, 2, 2]


def test_what_waits_is_unread_once_it_is_asked_and_never_if_it_is_withdrawn(session, alice, bob, vera, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    everyone = alice, bob, vera
    withdrawn, waiting = ask(session, bob).message, ask(session, bob, "@vera, look").message
    assert [unread(user, session) for user in everyone] == [0, 0, 1]
    asking.withdraw(withdrawn)
    assert [unread(user, session) for user in everyone] == [0, 0, 1] and not entry(vera, session)["yours"][
        "mentioned"
    ]
    finish(claim)
    waiting.refresh_from_db()
    assert waiting.status == "success"
    assert [unread(user, session) for user in everyone] == [2, 1, 3], (
        "the answer; and of what is asked now all but its author"
    )
    assert entry(vera, session)["yours"]["mentioned"]


def test_what_joins_the_running_answer_is_unread_then(session, alice, bob, vera, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    ask(session, bob, when="steer")
    assert [unread(user, session) for user in (alice, bob, vera)] == [0, 0, 1]
    assert len(steering.take(claim, 1)) == 1
    assert [unread(user, session) for user in (alice, bob, vera)] == [1, 0, 2]


def test_reading_marks_and_only_forward(session, alice, bob, worker):
    finish(claimed(answer_of(ask(session, alice)), worker))
    assert own_list.mark_read(session, bob).read == 2
    assert own_list.mark_read(session, bob, 1).read == 2
    ask(session, alice)
    assert unread(bob, session) == 1
    own_list.mark_read(session, bob, 2)
    assert unread(bob, session) == 1
    assert own_list.mark_read(session, bob, 10**6).read == 3, "nobody has read what was not said yet"


def test_who_speaks_has_read(session, alice, bob, worker):
    finish(claimed(answer_of(ask(session, alice)), worker))
    ask(session, bob)
    assert [unread(user, session) for user in (alice, bob)] == [2, 0]


def test_who_joins_has_nothing_unread(session, alice, charlie):
    ask(session, alice)
    invitation, _ = Invitation.issue(session, alice, Role.EDITOR)
    people.join(invitation, charlie)
    assert unread(charlie, session) == 0


def test_marking_read_twice_changes_and_tells_nothing(session, alice, bob):
    ask(session, alice)
    assert own_list.mark_read(session, bob).version == own_list.mark_read(session, bob).version


# --- archive ---


def test_an_archived_session_is_out_of_one_s_own_list_only(session, alice, bob):
    own_list.archive(session, bob)
    assert listed(bob) == [] and [e["id"] for e in listed(bob, archived=True)] == [str(session.pk)]
    assert [e["id"] for e in listed(alice)] == [str(session.pk)] and listed(alice, archived=True) == []
    own_list.unarchive(session, bob)
    assert listed(bob) != [] and listed(bob, archived=True) == []


def test_a_question_brings_it_back_for_everyone_an_answer_does_not(session, alice, bob, vera, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    for user in (bob, vera):
        own_list.archive(session, user)
    finish(claim)
    assert entry(bob, session)["yours"]["archived"] and entry(vera, session)["yours"]["archived"]
    ask(session, alice)
    assert not entry(bob, session)["yours"]["archived"] and not entry(vera, session)["yours"]["archived"]


def test_who_is_out_can_neither_read_nor_archive(session, charlie):
    for verb in (own_list.mark_read, own_list.archive, own_list.unarchive):
        with pytest.raises(Refused, match="no longer in this session"):
            verb(session, charlie)


# --- the list over HTTP ---


def many(user, count):
    """`count` sessions, the first one the newest."""
    now = timezone.now()
    made = [ChatSession(title=f"No. {i}", updated_at=now - timedelta(minutes=i // 2)) for i in range(count)]
    ChatSession.objects.bulk_create(made)
    Participant.objects.bulk_create([Participant(session=s, user=user, role=Role.OWNER) for s in made])


def test_a_long_list_is_one_query(alice, django_assert_num_queries):
    many(alice, 60)
    with django_assert_num_queries(1):
        page, has_more = sidebar.listed(alice)
    assert len(page) == sidebar.PAGE and has_more


@pytest.mark.parametrize("step", [7, 50, 100])
def test_pages_follow_each_other_without_a_gap_or_a_double(alice, step):
    many(alice, 120)
    caller, seen, before = Caller(alice), [], ""
    while True:
        page = caller("get", f"/sessions?limit={step}{before}").json()
        seen += [entry["id"] for entry in page["sessions"]]
        if not page["has_more"]:
            break
        before = f"&before={seen[-1]}"
    assert len(seen) == len(set(seen)) == 120
    assert seen == [e["id"] for e in caller("get", "/sessions?limit=100").json()["sessions"]] + seen[100:]


def test_before_a_session_of_somebody_else_s_is_not_found(session, charlie):
    problem(Caller(charlie)("get", f"/sessions?before={session.pk}"), 404, "not_found")
    problem(Caller(charlie)("get", f"/sessions?before={uuid.uuid4()}"), 404, "not_found")


def test_read_and_archive_over_http(session, alice, bob):
    ask(session, alice)
    caller = Caller(bob)
    assert caller("get", f"/sessions/{session.pk}").json()["yours"]["unread"] == 1
    assert caller("post", f"/sessions/{session.pk}/read", {"said": 0}).json()["yours"]["unread"] == 1
    assert caller("post", f"/sessions/{session.pk}/read").json()["yours"]["unread"] == 0
    problem(caller("post", f"/sessions/{session.pk}/read", {"said": -1}), 422, "invalid")
    assert caller("post", f"/sessions/{session.pk}/archive").json()["yours"]["archived"] is True
    assert caller("get", "/sessions").json()["sessions"] == []
    assert len(caller("get", "/sessions?archived=true").json()["sessions"]) == 1
    assert caller("post", f"/sessions/{session.pk}/unarchive").json()["yours"]["archived"] is False


# --- the socket ---


class Sidebar:
    """The list as a viewer keeps it, by the rules of docs/events.md."""

    def __init__(self, socket):
        self.socket, self.sessions = socket, {}

    async def hear(self):
        frame = await self.socket.frame()
        match frame["type"]:
            case "list.snapshot":
                self.sessions = {session["id"]: session for session in frame["sessions"]}
            case "list.updated":
                held = self.sessions.get(frame["session"]["id"])
                new = dict(frame["session"])
                if held and held["yours"]["version"] > new["yours"]["version"]:
                    new["yours"] = held["yours"]
                if held and held["version"] > new["version"]:
                    new = held | {"yours": new["yours"]}
                self.sessions[new["id"]] = new
            case "list.removed":
                self.sessions.pop(frame["session_id"], None)
        return frame

    async def until(self, condition):
        while not condition(self.sessions):
            await self.hear()


def test_what_happens_in_a_session_is_told_to_the_lists_of_its_people(session, alice, bob, charlie, worker, loop):
    one, other = str(session.pk), ChatSession.objects.create(title="Charlie's")
    Participant.objects.create(session=other, user=charlie, role=Role.OWNER)
    headers = token_of(bob)

    async def scenario():
        async with opened(None, headers, path=PATH) as socket:
            side = Sidebar(socket)
            assert (await side.hear())["type"] == "list.snapshot"
            await do(ask, other, charlie, "a secret")
            sent = await do(ask, session, alice)
            await side.until(lambda held: held[one]["running"] and held[one]["yours"]["unread"] == 1)
            claim = await do(claimed, sent.reply, worker)
            await do(finish, claim)
            await side.until(lambda held: not held[one]["running"] and held[one]["yours"]["unread"] == 2)
            await do(session_changes.change, session)
            await do(own_list.mark_read, session, bob)
            await side.until(lambda held: held[one]["yours"]["unread"] == 0)
            await do(own_list.archive, session, bob)
            await side.until(lambda held: held[one]["yours"]["archived"])
            await do(ask, session, alice)
            await side.until(lambda held: not held[one]["yours"]["archived"])
            assert side.sessions == {e["id"]: e for e in await do(listed, bob)}
            await do(session_changes.delete, session)
            await side.until(lambda held: one not in held)
            assert str(other.pk) not in str(socket.seen)

    loop.run(scenario())


def test_a_new_session_and_one_that_is_left_are_told(session, alice, bob, loop):
    headers, caller = token_of(alice), Caller(alice)

    async def scenario():
        async with opened(None, headers, path=PATH) as socket:
            side = Sidebar(socket)
            await side.hear()
            made = (await do(caller, "post", "/sessions", {"title": "New"})).json()
            await side.until(lambda held: made["id"] in held)
            assert made | side.sessions[made["id"]] == made
            await socket.send({"type": "sync"})
            assert (await side.hear())["type"] == "list.snapshot"
            await socket.send({"type": "typing", "active": True})
            assert (await side.hear())["code"] == "unknown_type"
            await socket.send({"type": "ping"})
            assert (await side.hear())["type"] == "pong"

    loop.run(scenario())


def test_nobody_has_no_list(transactional_db, valkey_server, loop):
    async def scenario():
        async with opened(None, path=PATH) as socket:
            assert await socket.close_code() == 4401

    loop.run(scenario())
