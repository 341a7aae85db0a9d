"""The operator's pages: everything can be looked at, and answers are changed by the verbs only."""

import html

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ

from assistant.admin import large
from assistant.lifecycle import asking, people, session_changes
from assistant.models import (
    ApiToken,
    Budget,
    ChatSession,
    Invitation,
    McpProblem,
    McpServer,
    Message,
    Participant,
    UnfinishedAnswer,
    UsageRecord,
    WorkerProcess,
)
from assistant.models.participant import Role
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, jobs, kill, lose_job, now, queued, write
from tests.files import uploaded
from tests.plans import plans, rooms

pytestmark = pytest.mark.django_db(transaction=True)

UNFINISHED = "/admin/assistant/unfinishedanswer/"


@pytest.fixture
def world(session, alice, worker):
    """At least one row of each of our models."""
    ApiToken.issue(alice)
    Invitation.issue(session, alice, Role.VIEWER)
    people.share(session, alice)
    fail(claimed(answer_of(ask(session, alice)), worker), "a part")
    write(claimed(answer_of(ask(session, alice)), worker), "so far", 1)
    ask(session, alice, "waits")
    uploaded(alice, session=session)
    Budget.objects.create(user=alice)
    UsageRecord.objects.create(user=alice, model="test/model")
    McpServer.objects.create(name="depot", title="Depot", url="https://example.org/mcp")
    McpProblem.objects.create(name="depot", reason="ConnectError: refused")


def text_of(response):
    return html.unescape(response.content.decode())


def do(client, action, *answers):
    """Runs an action of the page of unfinished answers; returns the page that follows."""
    sent = {"action": action, "_selected_action": [str(answer.pk) for answer in answers]}
    response = client.post(UNFINISHED, sent, follow=True)
    assert response.status_code == 200
    return text_of(response)


def told(frames):
    """(id, status) of the messages that viewers were told of."""
    return [
        (frame["message"]["id"], frame["message"]["status"]) for frame in frames if frame["type"] == "message.updated"
    ]


# --- looking ---


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
def test_every_list_every_page_and_every_search_opens(admin_client, world, model):
    names = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    listed = admin_client.get(reverse(f"{names}_changelist"))
    assert listed.status_code == 200
    if admin.site._registry[model].search_fields:
        assert admin_client.get(reverse(f"{names}_changelist"), {"q": "a"}).status_code == 200
    found = list(listed.context["cl"].result_list)
    assert found or model._meta.app_label != "assistant"
    for row in found[:1]:
        assert admin_client.get(reverse(f"{names}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize("model", [ChatSession, Message, ApiToken, Invitation])
def test_lists_need_no_query_for_each_row(admin_client, world, alice, model, django_assert_max_num_queries):
    for number in range(8):
        made = ChatSession.objects.create(title=f"Room {number}")
        Participant.objects.create(session=made, user=alice, role=Role.OWNER)
        ApiToken.issue(alice)
        Invitation.issue(made, alice, Role.VIEWER)
        claimed(answer_of(ask(made, alice)), a_worker(f"host-{number}"))
    with django_assert_max_num_queries(7):
        admin_client.get(reverse(f"admin:assistant_{model._meta.model_name}_changelist"))


LARGE = [Message, UsageRecord]


@pytest.mark.parametrize("model", LARGE)
def test_lists_of_large_tables_neither_count_nor_read_all_of_it(admin_client, world, model, monkeypatch):
    monkeypatch.setattr(large, "MOST", 1)
    with CaptureQueriesContext(connection) as asked:
        page = admin_client.get(reverse(f"admin:assistant_{model._meta.model_name}_changelist"))
    assert page.status_code == 200 and page.context["cl"].result_count == 1
    mine = [query["sql"] for query in asked if model._meta.db_table in query["sql"]]
    assert not any("DISTINCT" in sql for sql in mine)
    counted = [sql for sql in mine if "COUNT(" in sql]
    assert counted and all("LIMIT 1)" in sql for sql in counted)


def test_a_page_of_messages_is_read_in_the_order_of_the_index_and_nothing_is_before_it(admin_client, alice):
    rooms(alice, 30, 10)
    with plans() as found:
        admin_client.get(reverse("admin:assistant_message_changelist"))
    [plan] = [plan for plan in found if "assistant_workerprocess" in plan]
    assert "TEMP B-TREE" not in plan and "Sort" not in plan and "chatsession" not in plan


def test_messages_are_found_by_id_by_session_and_by_their_words(admin_client, session, alice):
    answer = answer_of(ask(session, alice, "Where is the needle?"))
    other = ChatSession.objects.create()
    Participant.objects.create(session=other, user=alice, role=Role.OWNER)
    ask(other, alice, "Somewhere else")

    def found(query):
        page = admin_client.get(reverse("admin:assistant_message_changelist"), {"q": query})
        return {row.pk for row in page.context["cl"].result_list}

    assert found(str(answer.pk)) == {answer.pk} and found("needle") == {answer.reply_to_id}
    assert found(str(session.pk)) == {answer.pk, answer.reply_to_id} and found("haystack") == set() == found("🔥")


def test_sessions_are_counted_for_the_page_that_is_shown(admin_client, world, session):
    with CaptureQueriesContext(connection) as asked:
        page = admin_client.get(reverse("admin:assistant_chatsession_changelist"))
    assert not any("GROUP BY" in query["sql"] and "JOIN" in query["sql"] for query in asked)
    row = next(row for row in page.context["cl"].result_list if row.pk == session.pk)
    assert (row.people_, row.messages_) == (session.participants.count(), session.messages.count())


def test_only_staff_come_in(client, alice):
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
    assert client.get(UNFINISHED).status_code == 302


def test_the_secrets_of_tokens_and_invitations_are_not_shown(admin_client, session, alice):
    token, (invitation, link) = ApiToken.issue(alice), Invitation.issue(session, alice, Role.VIEWER)
    for model, row, secret in (("apitoken", ApiToken.objects.get(), token), ("invitation", invitation, link)):
        for url in (f"/admin/assistant/{model}/", f"/admin/assistant/{model}/{row.pk}/change/"):
            page = text_of(admin_client.get(url))
            assert secret not in page and row.token_digest not in page


def test_unfinished_answers_are_shown_with_all_that_tells_whether_they_live(admin_client, session, alice, worker):
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    page = text_of(admin_client.get(UNFINISHED))
    assert str(answer.pk) in page and str(worker) in page and "alive" in page
    kill(worker)
    assert "stuck: its worker host:1 has not been heard for 36" in text_of(admin_client.get(UNFINISHED))
    WorkerProcess.objects.update(stopped_at=worker.started_at)
    assert "stuck: its worker host:1 has ended" in text_of(admin_client.get(UNFINISHED))
    WorkerProcess.objects.all().delete()
    assert "stuck: its worker is unknown" in text_of(admin_client.get(UNFINISHED))
    asking.cancel(answer, alice)
    assert str(answer.pk) not in text_of(admin_client.get(UNFINISHED))


def test_unfinished_answers_are_filtered_by_the_statuses_that_they_can_have(admin_client, session, alice, worker):
    running = answer_of(ask(session, alice))
    claimed(running, worker)
    page = admin_client.get(UNFINISHED)
    [status] = page.context["cl"].filter_specs
    assert [choice["display"] for choice in status.choices(page.context["cl"])] == ["All", "Pending", "Processing"]
    assert str(running.pk) in text_of(admin_client.get(UNFINISHED, {"status": "processing"}))
    assert str(running.pk) not in text_of(admin_client.get(UNFINISHED, {"status": "pending"}))


def test_what_people_wrote_is_text_in_these_pages_too(admin_client, session, alice):
    ask(session, alice, "<script>alert(1)</script>")
    for url in ("/admin/assistant/message/", f"/admin/assistant/message/{session.messages.first().pk}/change/"):
        assert "<script>alert" not in admin_client.get(url).content.decode()


# --- nothing is edited by hand ---


@pytest.mark.parametrize("model", [Message, UnfinishedAnswer, WorkerProcess, ApiToken, Invitation])
def test_nothing_is_added_or_changed_by_hand(admin_client, world, model):
    names = f"admin:assistant_{model._meta.model_name}"
    row = admin_client.get(reverse(f"{names}_changelist")).context["cl"].result_list[0]
    before = model.objects.filter(pk=row.pk).values().get()
    assert admin_client.get(reverse(f"{names}_add")).status_code == 403
    change = reverse(f"{names}_change", args=[row.pk])
    assert admin_client.post(change, {"status": "success", "content": "forged", "role": "editor"}).status_code == 403
    assert model.objects.filter(pk=row.pk).values().get() == before
    assert 'name="_save"' not in admin_client.get(change).content.decode()


def test_a_session_is_begun_by_its_owner_only(admin_client):
    """people.md: a session has one owner, always."""
    assert admin_client.get("/admin/assistant/chatsession/add/").status_code == 403


def test_the_admin_s_pages_have_a_mark(admin_client):
    assert admin_client.get("/favicon.ico").url == "/static/assistant/mark.svg"


def test_messages_are_not_deleted_one_by_one(admin_client, session, alice, worker):
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    for name in ("message", "unfinishedanswer"):
        assert admin_client.post(f"/admin/assistant/{name}/{answer.pk}/delete/", {"post": "yes"}).status_code == 403
        sent = {"action": "delete_selected", "_selected_action": [str(answer.pk)], "post": "yes"}
        admin_client.post(f"/admin/assistant/{name}/", sent)
        assert now(answer).status == "processing"


# --- acting on unfinished answers ---


@pytest.fixture
def written(session, alice, worker):
    """An answer that a living worker writes, and what it holds."""
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    write(claim, "so far", 1)
    return answer, claim


def test_recover_leaves_the_living_alone_and_says_so(admin_client, written, frames, sent_to_workers):
    answer, _ = written
    before = Message.objects.filter(pk=answer.pk).values().get()
    page = do(admin_client, "recover", answer)
    assert "0 answers recovered, 1 left as they are (they have ended, or are alive)." in page
    assert Message.objects.filter(pk=answer.pk).values().get() == before and not frames and not sent_to_workers()


def test_recover_brings_the_dead_back_to_the_queue_and_tells_viewers(admin_client, written, worker, alice, frames):
    answer, claim = written
    other = ChatSession.objects.create()
    jobless = answer_of(ask(other, alice))
    lose_job(jobless)
    kill(worker)
    frames.clear()
    assert "2 answers recovered." in do(admin_client, "recover", answer, jobless)
    assert sorted(told(frames)) == sorted([(str(answer.pk), "pending"), (str(jobless.pk), "pending")])
    assert now(answer).is_alive() and now(jobless).is_alive() and now(answer).recoveries == 1
    assert now(answer).best()[0] == "so far" and not finish(claim), "the dead worker comes too late"


def test_requeue_takes_an_answer_from_a_living_worker(admin_client, written, worker, frames, sent_to_workers):
    answer, claim = written
    assert "1 answers requeued." in do(admin_client, "requeue", answer)
    assert now(answer).status == "pending" and now(answer).worker is None and now(answer).is_alive()
    assert now(answer).best()[0] == "so far" and now(answer).recoveries == 0
    assert told(frames) == [(str(answer.pk), "pending")]
    stop = {"type": "turn.stop", "message_id": str(answer.pk), "attempt": claim.attempt}
    assert sent_to_workers() == [(worker.mailbox, stop)]
    assert not finish(claim) and now(answer).status == "pending", "the worker's late ending changes nothing"
    assert claimed(answer, worker).attempt == claim.attempt + 1


def test_requeue_of_a_waiting_answer_leaves_one_job(admin_client, session, alice):
    answer = answer_of(ask(session, alice))
    do(admin_client, "requeue", answer)
    assert jobs() == [str(answer.pk)] and now(answer).is_alive()


def test_fail_ends_with_an_error_keeps_the_text_and_pauses_the_queue(
    admin_client, session, alice, written, worker, frames, sent_to_workers
):
    answer, claim = written
    ask(session, alice, "waits")
    frames.clear()
    assert "1 answers failed." in do(admin_client, "fail", answer)
    ended = now(answer)
    assert (ended.status, ended.error_code, ended.content) == ("error", "abandoned", "so far")
    assert told(frames) == [(str(answer.pk), "error")]
    assert sent_to_workers()[0][0] == worker.mailbox and not finish(claim)
    assert queued(session) == ["waits"]
    session.refresh_from_db()
    assert session.queue_paused_until is not None


def test_stop_is_what_a_participant_would_do(
    admin_client, admin_user, session, alice, written, frames, sent_to_workers
):
    answer, claim = written
    ask(session, alice, "waits")
    frames.clear()
    assert "1 answers stopped." in do(admin_client, "stop", answer)
    ended = now(answer)
    assert (ended.status, ended.content, ended.stopped_by) == ("cancelled", "so far", admin_user)
    assert told(frames)[0] == (str(answer.pk), "cancelled") and not finish(claim)
    assert queued(session) == [] and session.messages.running().get() != answer, "the next question is asked"
    assert sent_to_workers()


@pytest.mark.parametrize("action", ["recover", "requeue", "fail", "stop"])
def test_an_answer_that_ended_meanwhile_is_left_as_it_is(admin_client, monkeypatch, written, action, frames):
    """It ends after the page has listed it and before the verb looks at it."""
    from assistant.admin.unfinished_answers import UnfinishedAnswerAdmin

    answer, claim = written
    go_on = UnfinishedAnswerAdmin._do

    def finish_first(self, request, queryset, verb, done):
        def late(message):
            finish(claim, "Done.")
            frames.clear()
            return verb(message)

        go_on(self, request, queryset, late, done)

    monkeypatch.setattr(UnfinishedAnswerAdmin, "_do", finish_first)
    assert "1 left as they are" in do(admin_client, action, answer)
    assert (now(answer).status, now(answer).content) == ("success", "Done.") and not told(frames)


def test_only_superusers_enter_mcp_servers(client, admin_client, charlie, world):
    """A header may name any variable of the workers' environment, and the address whom to tell it."""
    charlie.is_staff = True
    charlie.save()
    charlie.user_permissions.set(Permission.objects.filter(content_type__model="mcpserver"))
    client.force_login(charlie)
    depot = f"/admin/assistant/mcpserver/{McpServer.objects.get().pk}/change/"
    sent = {
        "name": "depot", "title": "Depot", "url": "https://evil.example/mcp", "approval": "never", "timeout_seconds": "5",
        "headers": '{"X": "${SECRET_KEY}"}', "command": "[]", "env": "{}", "is_enabled": "on",
    }  # fmt: skip
    assert client.get(depot).status_code == 200
    for url in (depot, "/admin/assistant/mcpserver/add/"):
        assert client.post(url, sent).status_code == 403
    assert McpServer.objects.get().url == "https://example.org/mcp"
    assert admin_client.post(depot, sent).status_code == 302
    assert McpServer.objects.get().url == "https://evil.example/mcp"


def test_who_may_only_look_can_not_act(client, charlie, written):
    answer, _ = written
    charlie.is_staff = True
    charlie.save()
    charlie.user_permissions.add(Permission.objects.get(codename="view_unfinishedanswer"))
    client.force_login(charlie)
    assert client.get(UNFINISHED).status_code == 200
    for action in ("recover", "requeue", "fail", "stop"):
        do(client, action, answer)
        assert now(answer).status == "processing", action


# --- sessions, invitations ---


@pytest.mark.parametrize("way", ["its page", "the list"])
def test_deleting_a_session_stops_its_answer_and_closes_its_viewers(
    admin_client, session, written, worker, way, sent_to_workers
):
    claim = written[1]
    if way == "its page":
        admin_client.post(f"/admin/assistant/chatsession/{session.pk}/delete/", {"post": "yes"})
    else:
        sent = {"action": "delete_selected", "_selected_action": [str(session.pk)], "post": "yes"}
        admin_client.post("/admin/assistant/chatsession/", sent)
    assert not ChatSession.objects.exists() and not Message.objects.exists()
    told_workers = {group: event["type"] for group, event in sent_to_workers()}
    assert told_workers == {worker.mailbox: "turn.stop", f"session.{session.pk.hex}": "access.ended"}
    assert not finish(claim)


def test_deleting_a_session_takes_back_its_job(admin_client, session, alice):
    ask(session, alice)
    admin_client.post(f"/admin/assistant/chatsession/{session.pk}/delete/", {"post": "yes"})
    assert not OrmQ.objects.exists()


def test_changing_a_session_writes_nothing_but_the_change_and_tells_it(
    admin_client, session, alice, monkeypatch, frames
):
    ChatSession.objects.filter(pk=session.pk).update(parameters={"temperature": 1, "top_p": 0.5})
    change = session_changes.change

    def meanwhile(*args, **kwargs):
        ask(session, alice)
        change(*args, **kwargs)

    monkeypatch.setattr(session_changes, "change", meanwhile)
    monkeypatch.setattr(
        admin.ModelAdmin, "save_model", lambda self, request, obj, *_: (ask(session, alice), obj.save())
    )
    sent = {
        "title": "Another room", "model": "", "system_prompt": "", "parameters": '{"top_p": 0.25}', "replies": "every",
        "when_busy": "queue", "services": "[]", "participants-TOTAL_FORMS": 0, "participants-INITIAL_FORMS": 0,
    }  # fmt: skip
    url = f"/admin/assistant/chatsession/{session.pk}/change/"
    assert admin_client.post(url, sent, follow=True).redirect_chain
    session.refresh_from_db()
    assert (session.title, session.titled_by, session.parameters) == ("Another room", "person", {"top_p": 0.25})
    assert (session.last_position, session.said) == (2, 1), "what the send wrote stays"
    told = [frame["session"]["title"] for frame in frames if frame["type"] == "session.updated"]
    assert told[-1] == "Another room"


def test_an_invitation_is_revoked(admin_client, client, session, alice):
    invitation, token = Invitation.issue(session, alice, Role.VIEWER)
    sent = {"action": "revoke", "_selected_action": [str(invitation.pk)]}
    admin_client.post("/admin/assistant/invitation/", sent)
    assert Invitation.find(token) is None and client.get(f"/invite/{token}/").status_code == 404


def test_a_token_is_revoked_by_deleting_it(admin_client, client, alice):
    token = ApiToken.issue(alice)
    admin_client.post(f"/admin/assistant/apitoken/{ApiToken.objects.get().pk}/delete/", {"post": "yes"})
    assert client.get("/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


# --- people ---


def act(client, model, action, *rows):
    sent = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return text_of(client.post(f"/admin/assistant/{model}/", sent, follow=True))


def roles(session):
    return dict(session.participants.values_list("user__username", "role"))


def test_an_operator_gives_a_session_another_owner_and_removes_somebody(admin_client, session, bob, vera, frames):
    act(admin_client, "participant", "make_owner", session.participants.get(user=bob))
    assert roles(session) == {"alice": "editor", "bob": "owner", "vera": "viewer"}
    act(admin_client, "participant", "remove", session.participants.get(user=vera))
    assert "The owner can't be removed" in act(
        admin_client, "participant", "remove", session.participants.get(user=bob)
    )
    assert roles(session) == {"alice": "editor", "bob": "owner"}
    assert [frame["type"] for frame in frames][-1] == "participant.removed"


def test_ending_a_share_link_in_the_admin_sends_its_readers_away(admin_client, session, alice, sent_to_workers):
    link = people.share(session, alice)[0]
    act(admin_client, "sharelink", "delete_selected", link)
    admin_client.post(
        "/admin/assistant/sharelink/",
        {"action": "delete_selected", "_selected_action": [str(link.pk)], "post": "yes"},
    )
    assert not session.__class__.objects.filter(share_link__isnull=False).exists()
    assert {"type": "share.ended"} in [event for _, event in sent_to_workers()]


def test_a_deleted_account_leaves_its_sessions_to_somebody_else(admin_client, session, alice):
    page = f"/admin/auth/user/{alice.pk}/delete/"
    assert admin_client.get(page).status_code == 200 and roles(session)["alice"] == "owner", "looking changes nothing"
    admin_client.post(page, {"post": "yes"})
    assert roles(session) == {"bob": "owner", "vera": "viewer"}
