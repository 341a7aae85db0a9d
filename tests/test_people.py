"""Who takes part: roles change at once, a session always has one owner, and who is removed sees nothing more."""

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from assistant.lifecycle import people
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Invitation, Participant, ShareLink
from assistant.models.participant import Role
from tests.acting import answer_of, ask, claimed, finish, now
from tests.calling import Caller, content, problem
from tests.sockets import SECONDS, do, joined, opened, token_of
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def roles(session):
    return dict(session.participants.values_list("user__username", "role"))


def refusal(action, *arguments):
    with pytest.raises(Refused) as caught:
        action(*arguments)
    assert caught.value.detail.endswith(".")
    return caught.value.code


def told(frames):
    return [(frame["type"], frame["participant"]["name"], frame["participant"]["role"]) for frame in frames]


def test_people_know_each_other_s_user_names_but_no_e_mail_addresses(session, alice, bob, vera):
    alice.first_name = "Alicia"
    alice.save()
    vera.username = "vera@example.org"
    vera.save()
    found = Caller(bob)("get", f"/sessions/{session.pk}/participants").json()["participants"]
    assert [(p["name"], p["handle"]) for p in found] == [
        ("Alicia", "alice"), ("bob", "bob"), ("vera@example.org", None),
    ]  # fmt: skip


# --- one owner ---


def test_the_database_bears_no_second_owner(session, bob):
    with pytest.raises(IntegrityError), transaction.atomic():
        Participant.objects.filter(user=bob).update(role=Role.OWNER)


def test_handing_over_makes_the_other_the_owner_and_who_did_an_editor(session, alice, bob, frames):
    people.make_owner(session, alice, bob.pk)
    assert roles(session) == {"alice": "editor", "bob": "owner", "vera": "viewer"}
    assert told(frames) == [("participant.updated", "alice", "editor"), ("participant.updated", "bob", "owner")]
    assert refusal(people.make_owner, session, alice, bob.pk) == "forbidden"


def test_only_a_participant_with_an_open_account_can_be_the_owner(session, alice, bob, charlie):
    assert refusal(people.make_owner, session, alice, charlie.pk) == "not_found"
    assert refusal(people.make_owner, session, alice, alice.pk) == "already_owner"
    bob.is_active = False
    bob.save()
    assert refusal(people.make_owner, session, alice, bob.pk) == "closed_account"
    assert roles(session)["alice"] == "owner"


def test_of_two_handovers_at_once_one_is_refused_and_there_is_one_owner(session, alice, bob, vera):
    results = at_once(*[lambda heir=heir: people.make_owner(session, alice, heir.pk) for heir in (bob, vera)])
    assert [type(result) for result in results].count(Refused) == 1
    assert list(roles(session).values()).count("owner") == 1 and roles(session)["alice"] == "editor"


def test_the_owner_s_role_changes_only_by_handing_over(session, alice, bob):
    assert refusal(people.change_role, session, alice, alice.pk, Role.VIEWER) == "owner_stays"
    assert refusal(people.remove, session, alice, alice.pk) == "owner_stays"
    assert roles(session)["alice"] == "owner"


@pytest.mark.parametrize("heir, expected", [("bob", "bob"), (None, "vera")])
def test_a_deleted_account_leaves_its_sessions_to_the_first_editor_or_else_viewer(
    session, alice, bob, vera, heir, expected, frames
):
    if heir is None:
        people.remove(session, alice, bob.pk)
    alice.delete()
    assert roles(session)[expected] == "owner" and "alice" not in roles(session)
    assert frames[-1]["type"] == "participant.left"


def test_a_session_of_a_deleted_account_in_which_nobody_else_is_goes_with_it(charlie):
    made = ChatSession.objects.create()
    Participant.objects.create(session=made, user=charlie, role=Role.OWNER)
    get_user_model().objects.filter(pk=charlie.pk).delete()
    assert not ChatSession.objects.exists()


# --- roles ---


def test_a_role_change_is_told_and_holds_for_the_next_command(session, alice, bob, vera, frames):
    as_alice, as_bob, as_vera = Caller(alice), Caller(bob), Caller(vera)
    path = f"/sessions/{session.pk}"
    for user, role in ((bob, "viewer"), (vera, "editor")):
        changed = as_alice("patch", f"{path}/participants/{user.pk}", {"role": role})
        assert (changed.status_code, changed.json()["role"]) == (200, role)
    assert told(frames) == [("participant.updated", "bob", "viewer"), ("participant.updated", "vera", "editor")]
    problem(as_bob("post", f"{path}/messages", content()), 403, "forbidden")
    assert as_vera("post", f"{path}/messages", content()).status_code == 201


def test_the_same_role_again_tells_nobody(session, alice, bob, frames):
    people.change_role(session, alice, bob.pk, Role.EDITOR)
    assert frames == []


@pytest.mark.parametrize("body", [{"role": "owner"}, {"role": ""}, {}, {"role": "viewer", "x": 1}, {"role": 1}])
def test_a_role_that_is_none_is_refused(session, alice, bob, body):
    path = f"/sessions/{session.pk}/participants/{bob.pk}"
    problem(Caller(alice)("patch", path, body), 422, "invalid")
    assert roles(session)["bob"] == "editor"


def test_who_is_no_participant_has_no_role_to_change(session, alice, charlie):
    path = f"/sessions/{session.pk}/participants/{charlie.pk}"
    as_alice = Caller(alice)
    problem(as_alice("patch", path, {"role": "viewer"}), 404, "not_found")
    problem(as_alice("delete", path), 404, "not_found")
    assert as_alice("patch", f"/sessions/{session.pk}/participants/{10**30}", {"role": "viewer"}).status_code == 422


def test_an_open_socket_feels_a_change_of_role_at_once(session, alice, bob, loop):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            await do(people.change_role, session, alice, bob.pk, Role.VIEWER)
            updated = await b.until("participant.updated")
            assert updated["participant"]["role"] == "viewer"
            await b.send({"type": "typing", "active": True})
            assert (await b.until("error"))["code"] == "forbidden"
            await do(people.change_role, session, alice, bob.pk, Role.EDITOR)
            await b.until("participant.updated")
            await b.send({"type": "typing", "active": True})
            assert (await a.until("typing"))["user"]["id"] == bob.pk

    loop.run(scenario())


# --- leaving ---


@pytest.mark.parametrize("name", ["bob", "vera"])
def test_whoever_is_not_the_owner_may_leave(session, name, frames):
    user = get_user_model().objects.get(username=name)
    call = Caller(user)
    assert call("post", f"/sessions/{session.pk}/leave").status_code == 204
    assert name not in roles(session) and told(frames) == [
        ("participant.left", name, {"bob": "editor", "vera": "viewer"}[name])
    ]
    problem(call("get", f"/sessions/{session.pk}"), 404, "not_found")
    problem(call("post", f"/sessions/{session.pk}/leave"), 404, "not_found")


def test_one_s_own_id_removed_is_leaving(session, bob, frames):
    assert Caller(bob)("delete", f"/sessions/{session.pk}/participants/{bob.pk}").status_code == 204
    assert [frame["type"] for frame in frames] == ["participant.left"]


def test_an_owner_hands_over_before_leaving(session, alice, bob):
    call = Caller(alice)
    detail = problem(call("post", f"/sessions/{session.pk}/leave"), 409, "owner_must_hand_over")
    assert "Hand it over" in detail
    handed = call("post", f"/sessions/{session.pk}/owner", {"user": bob.pk})
    assert {p["name"]: p["role"] for p in handed.json()["participants"]} == {
        "alice": "editor", "bob": "owner", "vera": "viewer",
    }  # fmt: skip
    assert call("post", f"/sessions/{session.pk}/leave").status_code == 204
    assert roles(session) == {"bob": "owner", "vera": "viewer"}


def test_the_last_person_is_told_to_delete_the_session_instead(charlie):
    made = ChatSession.objects.create()
    Participant.objects.create(session=made, user=charlie, role=Role.OWNER)
    problem(Caller(charlie)("post", f"/sessions/{made.pk}/leave"), 409, "last_person")
    assert roles(made) == {"charlie": "owner"}


def test_who_left_may_come_back_by_an_old_link(session, alice, bob):
    link = Invitation.issue(session, alice, Role.VIEWER)[0]
    people.leave(session, bob)
    people.join(link, bob)
    assert roles(session)["bob"] == "viewer"


# --- removing (race 35) ---


def test_who_is_removed_is_disconnected_and_the_others_are_told(session, alice, bob, loop):
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:
            await do(people.remove, session, alice, bob.pk)
            assert await b.close_code() == 4403
            gone = await a.until("participant.removed")
            assert gone["participant"]["id"] == bob.pk
        async with opened(session.pk, headers[1]) as again:
            assert await again.close_code() == 4404

    loop.run(scenario())


def test_nothing_more_reaches_who_is_removed_while_they_are_answered(session, alice, bob, worker, loop):
    """The answer goes on and is seen by the others; what is told after the removal is not on its way to the removed."""
    claim = claimed(answer_of(ask(session, bob, "Mine")), worker)
    headers = token_of(alice), token_of(bob)

    async def scenario():
        async with joined(session, headers[0]) as a, joined(session, headers[1]) as b:

            def remove_and_go_on():
                people.remove(session, alice, bob.pk)
                assert finish(claim, "A secret of the others.")

            await do(remove_and_go_on)
            while (ended := await a.until("message.updated"))["message"]["role"] == "user":
                pass
            assert ended["message"]["content"] == "A secret of the others."
            seen = []
            while True:
                output = await b.communicator.receive_output(SECONDS)
                if output["type"] == "websocket.close":
                    break
                seen.append(output["text"])
            assert output["code"] == 4403
            await b.communicator.send_input({"type": "websocket.receive", "text": '{"type":"sync"}'})
            await a.send({"type": "ping"})
            await a.until("pong")
            while not b.communicator.output_queue.empty():
                rest = b.communicator.output_queue.get_nowait()
                assert rest["type"] != "websocket.send", rest
            assert not [text for text in seen if "secret" in text or "participant.removed" in text]

    loop.run(scenario())


def test_what_they_have_waiting_is_withdrawn_and_what_was_asked_stays(session, alice, bob, worker, frames):
    claim = claimed(answer_of(ask(session, bob, "asked")), worker)
    waiting, other = ask(session, bob, "waits").message, ask(session, alice, "hers").message
    people.remove(session, alice, bob.pk)
    assert now(waiting).status == "cancelled" and now(other).status == "pending"
    assert finish(claim) and now(other).status == "success"


def test_who_was_removed_is_not_offered_to_join_by_a_link_that_is_too_old(session, alice, bob, charlie, client):
    path = f"/invite/{Invitation.issue(session, alice, Role.EDITOR)[1]}/"
    people.remove(session, alice, bob.pk)
    newer = f"/invite/{Invitation.issue(session, alice, Role.EDITOR)[1]}/"
    client.force_login(bob)
    page = client.get(path)
    assert page.status_code == 403 and "too old for you" in page.content.decode()
    assert "Join as" in client.get(newer).content.decode()
    client.force_login(charlie)
    assert "Join as" in client.get(path).content.decode()


def test_who_was_removed_comes_back_only_by_a_newer_link(session, alice, bob, client):
    old, old_token = Invitation.issue(session, alice, Role.EDITOR)
    people.remove(session, alice, bob.pk)
    response = Caller(bob).client.post(f"/invite/{old_token}/", headers=Caller(bob).headers)
    problem(response, 403, "removed")
    client.force_login(bob)
    page = client.post(f"/invite/{old_token}/")
    assert page.status_code == 403 and "Only a new invitation lets you in again." in page.content.decode()
    old.refresh_from_db()
    assert old.uses == 0 and "bob" not in roles(session)
    assert refusal(people.join, old, bob) == "removed"
    people.join(Invitation.issue(session, alice, Role.VIEWER)[0], bob)
    assert roles(session)["bob"] == "viewer"
    people.leave(session, bob)
    people.join(old, bob)  # the removal is forgotten once somebody has let them in again


def test_a_removal_and_a_join_at_once_leave_one_state_that_all_were_told(session, alice, charlie, frames):
    link = Invitation.issue(session, alice, Role.EDITOR)[0]
    people.join(link, charlie)
    frames.clear()
    at_once(lambda: people.remove(session, alice, charlie.pk), lambda: people.join(link, charlie))
    assert "charlie" not in roles(session) and frames[-1]["type"] == "participant.removed"


def test_the_link_to_read_along_belongs_to_whoever_owns_the_session(session, alice, bob):
    people.share(session, alice)
    people.make_owner(session, alice, bob.pk)
    people.remove(session, bob, alice.pk)
    assert ShareLink.objects.open().get().created_by == bob
