"""The HTTP API: what each call answers, and how it refuses. Who may call what: tests/test_matrix.py."""

import itertools
import threading
import uuid

import pytest
from django.db import connection, transaction
from django_q.models import OrmQ

from assistant.lifecycle import asking, session_changes
from assistant.models import ApiToken, ChatSession, Message, Participant
from assistant.models.participant import Role
from tests.acting import answer_of, ask, claimed, fail, finish, kill, lose_job, now, queued, write
from tests.calling import Caller, content, problem
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_alice(alice):
    return Caller(alice)


@pytest.fixture
def as_bob(bob):
    return Caller(bob)


def test_a_cookie_without_a_csrf_token_may_read(session, alice):
    assert Caller(alice, "cookie", csrf=False)("get", f"/sessions/{session.pk}").status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "bearer parley_wrong", "\x00"])
def test_a_wrong_token_is_nobody(session, header):
    caller = Caller(None)
    caller.headers["Authorization"] = header
    problem(caller("get", f"/sessions/{session.pk}"), 401, "not_signed_in")


@pytest.mark.parametrize("way", ["cookie", "bearer"])
def test_an_inactive_user_is_nobody(session, alice, way):
    caller = Caller(alice, way)
    alice.is_active = False
    alice.save()
    problem(caller("get", f"/sessions/{session.pk}"), 401, "not_signed_in")


def test_who_was_removed_is_an_outsider(session, bob, as_bob):
    Participant.objects.filter(session=session, user=bob).delete()
    problem(as_bob("post", f"/sessions/{session.pk}/messages", content()), 404, "not_found")


def test_a_message_can_t_be_reached_through_a_session_of_one_s_own(session, alice, charlie):
    """Every message is found through the asker's sessions, whatever else the path names."""
    Participant.objects.create(session=ChatSession.objects.create(), user=charlie, role=Role.OWNER)
    answer = answer_of(ask(session, alice))
    for method, path in (("get", ""), ("post", "/cancel"), ("post", "/retry"), ("patch", ""), ("delete", "")):
        problem(Caller(charlie)(method, f"/messages/{answer.pk}{path}", {"content": "x"} if method == "patch" else None),
                404, "not_found")  # fmt: skip


def test_what_does_not_exist_is_not_found(as_alice):
    for method, path in (("get", f"/sessions/{uuid.uuid4()}"), ("get", f"/messages/{uuid.uuid4()}")):
        problem(as_alice(method, path), 404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/sessions/", "/", f"/sessions/{uuid.UUID(int=7)}/nothing"])
def test_an_address_that_there_is_not_is_told_in_the_api_s_own_form(as_alice, path):
    problem(as_alice("get", path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("put", "/sessions"), ("delete", "/me"), ("get", "/messages/x/cancel")])
def test_a_method_that_is_not_meant_is_told_in_the_api_s_own_form(as_alice, method, path):
    response = as_alice(method, path)
    problem(response, 405, "method_not_allowed")
    assert response["Allow"]


def test_a_fault_of_ours_is_told_in_the_api_s_own_form_and_is_in_the_log(as_alice, monkeypatch, caplog):
    monkeypatch.setattr("assistant.presentation.sidebar.listed", lambda *a, **k: 1 / 0)
    as_alice.client.raise_request_exception = False
    problem(as_alice("get", "/sessions"), 500, "internal")
    assert "ZeroDivisionError" in caplog.text


# --- bad input ---


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"content": "x"}, "invalid"),
        ({"client_id": "x"}, "invalid"),
        ({"client_id": "", "content": "x"}, "invalid"),
        ({"client_id": "x" * 101, "content": "x"}, "invalid"),
        ({"client_id": 1, "content": "x"}, "invalid"),
        ({"client_id": "x", "content": None}, "invalid"),
        ({"client_id": "x", "content": ["x"]}, "invalid"),
        ({"client_id": "x", "content": "x", "contnet": "x"}, "invalid"),
        ({"client_id": "x", "content": "x", "attachments": ["a"]}, "invalid"),
        ({"client_id": "x\x00", "content": "x"}, "invalid"),
        ({"client_id": "x", "content": "\ud800"}, "invalid"),
        ({"client_id": "\ud800", "content": "x"}, "invalid"),
        ({"client_id": "x", "content": "  "}, "empty"),
        ({"client_id": "x", "content": "x" * 10_001}, "too_long"),
        ({"client_id": "x", "content": "x", "model": "no/such"}, "invalid_model"),
        ({"client_id": "x", "content": "x", "model": "x" * 201}, "invalid"),
        ([], "invalid"),
        ("text", "invalid"),
        (None, "invalid"),
    ],
)
def test_a_bad_message_is_refused_with_a_sentence(session, as_alice, body, code):
    problem(as_alice("post", f"/sessions/{session.pk}/messages", body), 422, code)
    assert not Message.objects.exists() and not OrmQ.objects.exists()


@pytest.mark.parametrize("raw", ["{", "", "\xff", '{"content": "x",}', "[" * 2000])
def test_what_is_no_json_is_bad_input(session, as_alice, raw):
    problem(as_alice("post", f"/sessions/{session.pk}/messages", raw=raw.encode("latin-1")), 422, "invalid")


def test_the_refusal_names_the_field_and_the_number(session, as_alice):
    path = f"/sessions/{session.pk}/messages"
    assert "client_id" in problem(as_alice("post", path, {"content": "x"}), 422, "invalid")
    too_long = problem(as_alice("post", path, {"client_id": "x", "content": "x" * 12_345}), 422, "too_long")
    assert "10,000" in too_long and "12,345" in too_long


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "", {"title": "x" * 201}),
        ("patch", "", {"title": "a\x00b"}),
        ("patch", "", {"titel": "x"}),
        ("patch", "", {"title": 3}),
        ("post", "/invitations", {"role": "owner"}),
        ("post", "/invitations", {"role": ""}),
        ("post", "/invitations", {"role": "editor", "expires_in": "3600"}),
        ("post", "/invitations", {"role": "editor", "max_uses": True}),
        ("post", "/owner", {"user": True}),
        ("post", "/owner", {"user": "1"}),
        ("post", "/owner", {"user": 10**30}),
        ("post", "/read", {"said": True}),
        ("post", "/read", {"said": -1}),
        ("patch", "", {"title": "\ud800"}),
        ("patch", "", {"parameters": {"temperature": True}}),
        ("patch", "", {"parameters": {"top_p": "0.5"}}),
        ("patch", "", {"parameters": {"max_tokens": 1.0}}),
        ("patch", "", {"services": ["x\x00"]}),
        ("get", "/messages?limit=0", None),
        ("get", "/messages?limit=201", None),
        ("get", "/messages?limit=x", None),
        ("get", "/messages?before=x", None),
        ("get", f"/messages?before={uuid.UUID(int=7)}", None),
    ],
)
def test_other_bad_input_is_refused(session, as_alice, method, path, body):
    problem(as_alice(method, f"/sessions/{session.pk}{path}", body), 422, "invalid")
    session.refresh_from_db()
    assert session.title == "A room"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "offset=-1", f"offset={10**30}", "limit=x"])
def test_a_page_of_sessions_has_bounds(as_alice, query):
    problem(as_alice("get", f"/sessions?{query}"), 422, "invalid")


@pytest.mark.parametrize("path", ["/sessions/not-an-id", "/messages/7", "/sessions/%00"])
def test_an_id_that_is_none_is_refused_or_not_found(as_alice, path):
    response = as_alice("get", path)
    assert response.status_code in (404, 422) and set(response.json()) == {"code", "detail"}


def test_an_unknown_model_of_a_session_is_refused(session, as_alice):
    problem(as_alice("patch", f"/sessions/{session.pk}", {"model": "no/such"}), 422, "invalid_model")
    problem(as_alice("post", "/sessions", {"model": "no/such"}), 422, "invalid_model")
    assert ChatSession.objects.count() == 1


@pytest.mark.parametrize("model", ["openai/*", "openai/", "*"])
def test_a_pattern_of_models_is_no_model(session, as_alice, settings, model):
    settings.ASSISTANT_MODELS = [("Any", "openai/words"), ("All", "openai/*")]
    problem(as_alice("patch", f"/sessions/{session.pk}", {"model": model}), 422, "invalid_model")
    asked = {"client_id": "x", "content": "x", "model": model}
    refused = as_alice("post", f"/sessions/{session.pk}/messages", asked)
    problem(refused, 422, "invalid_model")
    assert ("Name one of them" in refused.json()["detail"]) == ("*" in model)
    as_alice("patch", f"/sessions/{session.pk}", {"model": "openai/seven"})
    session.refresh_from_db()
    assert session.model == "openai/seven"


# --- sessions ---


def test_a_new_session_is_its_maker_s(as_alice, alice):
    made = as_alice("post", "/sessions").json()
    assert (made["role"], made["title"], made["model"], made["running"]) == ("owner", "New session", None, False)
    assert made["queue_paused_until"] is None and made["created_at"].endswith("Z")
    assert Participant.objects.get(session_id=made["id"]).user == alice


def test_a_session_is_renamed_and_given_a_model_one_at_a_time(session, as_bob):
    path = f"/sessions/{session.pk}"
    assert as_bob("patch", path, {"title": " Ours "}).json()["title"] == "Ours"
    changed = as_bob("patch", path, {"model": "test/other"}).json()
    assert (changed["title"], changed["model"], changed["role"]) == ("Ours", "test/other", "editor")
    assert as_bob("patch", path, {"model": ""}).json()["model"] is None
    assert as_bob("patch", path, {}).json()["title"] == "Ours"
    assert as_bob("patch", path, {"title": " "}).json()["title"] == "New session"


def test_one_s_sessions_come_newest_activity_first_in_pages(session, alice, bob, charlie, as_alice):
    others = [ChatSession.objects.create(title=f"{n}") for n in range(3)]
    for other in others:
        Participant.objects.create(session=other, user=alice, role=Role.OWNER)
    ask(session, bob)
    listed = as_alice("get", "/sessions?limit=2").json()
    assert [one["title"] for one in listed["sessions"]] == ["A room", "2"] and listed["has_more"]
    assert (listed["sessions"][0]["running"], listed["sessions"][1]["running"]) == (True, False)
    rest = as_alice("get", "/sessions?limit=2&offset=2").json()
    assert [one["title"] for one in rest["sessions"]] == ["1", "0"] and not rest["has_more"]
    assert Caller(charlie)("get", "/sessions").json() == {"sessions": [], "has_more": False}
    assert Caller(bob)("get", "/sessions").json()["sessions"][0]["role"] == "editor"


def test_a_deleted_session_is_gone_with_all_that_belongs_to_it(session, as_alice, as_bob, alice):
    answer_of(ask(session, alice))
    assert as_alice("delete", f"/sessions/{session.pk}").status_code == 204
    assert not ChatSession.objects.exists() and not Message.objects.exists() and not OrmQ.objects.exists()
    problem(as_bob("get", f"/sessions/{session.pk}"), 404, "not_found")


# --- messages ---


def test_a_send_answers_with_the_pair_and_the_same_again_with_200(session, as_bob, bob):
    body, path = content(), f"/sessions/{session.pk}/messages"
    first, again = as_bob("post", path, body), as_bob("post", path, body)
    assert (first.status_code, again.status_code) == (201, 200)
    pair = first.json()
    assert pair["message"] == again.json()["message"] and pair["reply"]["id"] == again.json()["reply"]["id"]
    assert pair["message"]["author"] == {"id": bob.pk, "name": "bob"} and pair["message"]["status"] == "success"
    reply = pair["reply"]
    assert (reply["status"], reply["alive"], reply["reply_to"], reply["author"], reply["model"]) == (
        "pending", True, pair["message"]["id"], None, "test/model",
    )  # fmt: skip
    assert Message.objects.count() == 2 and OrmQ.objects.count() == 1


def test_the_same_send_twice_at_once_is_one_message_and_one_job(session, alice):
    callers = [Caller(alice), Caller(alice, "cookie")]
    for _ in range(4):
        body = content()
        responses = at_once(*[lambda c=c, b=body: c("post", f"/sessions/{session.pk}/messages", b) for c in callers])
        assert sorted(response.status_code for response in responses) == [200, 201]
        assert len({response.json()["message"]["id"] for response in responses}) == 1
    assert session.messages.filter(role="user").count() == 4 and OrmQ.objects.count() == 1


def test_a_message_that_waits_has_no_reply_yet(session, alice, as_bob):
    ask(session, alice)
    sent = as_bob("post", f"/sessions/{session.pk}/messages", content())
    assert sent.status_code == 201 and sent.json()["reply"] is None
    assert (sent.json()["message"]["status"], sent.json()["message"]["alive"]) == ("pending", True)


def test_a_full_queue_says_when_to_try_again(session, alice, as_bob, settings):
    settings.ASSISTANT_QUEUE_LIMIT = 0
    ask(session, alice)
    response = as_bob("post", f"/sessions/{session.pk}/messages", content())
    problem(response, 429, "queue_full")
    assert int(response["Retry-After"]) > 0


def test_its_author_edits_and_withdraws_a_waiting_message(session, alice, bob, as_bob, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    path = f"/messages/{ask(session, bob, 'secnd').message.pk}"
    assert as_bob("patch", path, {"content": "second"}).json()["content"] == "second"
    problem(as_bob("patch", path, {"content": " "}), 422, "empty")
    assert queued(session) == ["second"]
    other = f"/messages/{ask(session, bob, 'third').message.pk}"
    assert as_bob("delete", other).json()["status"] == "cancelled"
    finish(claim)
    problem(as_bob("patch", path, {"content": "late"}), 409, "already_promoted")
    problem(as_bob("delete", path), 409, "already_promoted")


def test_an_editor_who_became_a_viewer_no_longer_changes_their_message(session, alice, bob, as_bob):
    ask(session, alice)
    path = f"/messages/{ask(session, bob).message.pk}"
    Participant.objects.filter(user=bob).update(role=Role.VIEWER)
    problem(as_bob("delete", path), 403, "forbidden")


def test_stop_answers_truthfully(session, alice, bob, as_bob, worker):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    write(claim, "As far", 1)
    stopped = as_bob("post", f"/messages/{answer.pk}/cancel").json()
    assert (stopped["status"], stopped["content"], stopped["stopped_by"]["name"]) == ("cancelled", "As far", "bob")
    assert stopped["alive"] is False and stopped["html"]
    problem(as_bob("post", f"/messages/{answer.pk}/cancel"), 409, "already_finished")
    problem(as_bob("post", f"/messages/{stopped['reply_to']}/cancel"), 409, "not_an_answer")


def test_retry_answers_with_the_new_reply_or_that_the_session_is_busy(session, alice, as_bob, worker):
    answer = answer_of(ask(session, alice))
    problem(as_bob("post", f"/messages/{answer.pk}/retry"), 409, "session_busy")
    fail(claimed(answer, worker), "half")
    response = as_bob("post", f"/messages/{answer.pk}/retry", {"model": "test/other"})
    reply = response.json()["reply"]
    assert response.status_code == 201 and reply["id"] != str(answer.pk) and reply["model"] == "test/other"
    assert (reply["position"], reply["reply_to"]) == (answer.position, str(answer.reply_to_id))


def test_retry_of_the_question_is_a_retry_of_its_answer(session, alice, as_bob, worker):
    answer = answer_of(ask(session, alice))
    fail(claimed(answer, worker))
    reply = as_bob("post", f"/messages/{answer.reply_to_id}/retry").json()["reply"]
    assert reply["reply_to"] == str(answer.reply_to_id)


def test_a_message_tells_its_live_text_and_whether_it_lives(session, alice, as_bob, worker):
    answer = answer_of(ask(session, alice))
    path = f"/messages/{answer.pk}"
    claim = claimed(answer, worker)
    write(claim, "As **far**", 3)
    shown = as_bob("get", path).json()
    assert (shown["content"], shown["seq"], shown["attempt"], shown["alive"]) == ("As **far**", 3, 1, True)
    assert "<strong>far</strong>" in shown["html"][0] and shown["started_at"]
    kill(worker)
    assert as_bob("get", path).json()["alive"] is False


def test_a_waiting_answer_whose_job_is_gone_does_not_pretend_to_live(session, alice, as_bob):
    answer = answer_of(ask(session, alice))
    lose_job(answer)
    assert as_bob("get", f"/messages/{answer.pk}").json()["alive"] is False


def test_a_failure_is_told_with_its_code_and_sentence(session, alice, as_bob, worker):
    answer = answer_of(ask(session, alice))
    fail(claimed(answer, worker), "half")
    shown = as_bob("get", f"/messages/{answer.pk}").json()
    assert shown["error"]["code"] == "provider_error" and shown["error"]["detail"] and shown["content"] == "half"


def test_messages_come_in_pages_oldest_first_without_gap_or_repetition(session, alice, as_bob, worker):
    for n in range(7):
        answer = answer_of(ask(session, alice, f"{n}"))
        fail(claimed(answer, worker))
        finish(claimed(asking.retry(now(answer)), worker), f"answer {n}")
    everything = [str(pk) for pk in session.messages.in_order().values_list("pk", flat=True)]
    for limit in (1, 2, 5, 21, 200):
        pages, before = [], ""
        for _ in itertools.count():
            page = as_bob("get", f"/sessions/{session.pk}/messages?limit={limit}{before}").json()
            ids = [message["id"] for message in page["messages"]]
            pages.insert(0, ids)
            assert len(ids) <= limit and page["has_more"] == (sum(map(len, pages)) < len(everything))
            if not page["has_more"]:
                break
            before = f"&before={ids[0]}"
        assert list(itertools.chain(*pages)) == everything


def test_a_page_begins_before_a_message_of_this_session_only(session, alice, as_alice):
    other = ChatSession.objects.create()
    Participant.objects.create(session=other, user=alice, role=Role.OWNER)
    elsewhere = ask(other, alice).message
    problem(as_alice("get", f"/sessions/{session.pk}/messages?before={elsewhere.pk}"), 422, "invalid")


def test_the_messages_have_the_fields_of_the_contract(session, alice, as_bob):
    ask(session, alice)
    [question, answer] = as_bob("get", f"/sessions/{session.pk}/messages").json()["messages"]
    promised = {
        "id", "session", "role", "author", "content", "status", "attempt", "seq", "alive", "reply_to", "model", "error",
        "tool_calls", "attachments", "usage", "created_at", "started_at", "finished_at", "html", "version", "position",
        "stopped_by",
    }  # fmt: skip
    assert promised <= set(question) and promised <= set(answer)
    assert question["session"] == answer["session"] == str(session.pk)


def test_the_models_are_those_of_the_installation(as_alice):
    assert as_alice("get", "/models").json() == {
        "models": [{"id": "test/model", "label": "Test"}, {"id": "test/other", "label": "Other"}],
        "default": "test/model",
    }


def test_an_invitation_is_a_link_that_expires(session, as_bob):
    made = as_bob("post", f"/sessions/{session.pk}/invitations", {"role": "viewer"}).json()
    assert made["url"].startswith("http://testserver/invite/") and made["expires_at"].endswith("Z")


def test_a_database_that_is_away_is_told_as_503(session, as_alice, monkeypatch):
    from django.db import OperationalError

    def away(*args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr(asking, "send", away)
    response = as_alice("post", f"/sessions/{session.pk}/messages", content())
    problem(response, 503, "unavailable")
    assert int(response["Retry-After"]) > 0


def test_a_session_that_is_deleted_while_it_is_renamed_is_not_found(session, as_bob, monkeypatch):
    from assistant.api import sessions

    def find(*args):
        ChatSession.objects.filter(pk=session.pk).delete()
        return session

    monkeypatch.setattr(sessions, "session_for", find)
    as_bob.client.raise_request_exception = False
    problem(as_bob("patch", f"/sessions/{session.pk}", {"title": "x"}), 404, "not_found")


def test_a_session_that_is_deleted_while_its_answer_is_stopped_breaks_nothing(session, alice, as_bob):
    answer = answer_of(ask(session, alice))
    as_bob.client.raise_request_exception = False
    results = at_once(
        lambda: as_bob("post", f"/messages/{answer.pk}/cancel"), lambda: session_changes.delete(session)
    )  # fmt: skip
    assert results[0].status_code in (200, 404), results[0].content


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite has one lock for all writers")
def test_a_token_s_use_is_noted_only_where_nobody_has_to_wait_for_it(alice):
    """Whoever only reads is not kept by a lock on the database."""
    token = ApiToken.issue(alice)
    found = []

    def ask():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 60000")
            found.append(ApiToken.user_of(token))
            found.append(cursor.execute("PRAGMA busy_timeout").fetchone()[0])
        connection.close()

    asking = threading.Thread(target=ask)
    with transaction.atomic():
        ApiToken.objects.update(last_used_at=None)
        asking.start()
        asking.join(30)
        assert found == [alice, 60000], "it waits for the lock"
    assert ApiToken.objects.get().last_used_at is None
    assert ApiToken.user_of(token) == alice and ApiToken.objects.get().last_used_at is not None
