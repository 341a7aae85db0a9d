"""Files: uploaded, sent with a message, served to those who may read it, and cleared away."""

import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from assistant import tasks
from assistant.files import sniff
from assistant.lifecycle import asking, attaching, session_changes
from assistant.lifecycle.refusal import Refused
from assistant.models import ApiToken, Attachment, ChatSession, Message, StoredFile
from assistant.models.attachment import storage
from assistant.presentation import wire
from tests import files
from tests.acting import ask, now
from tests.files import uploaded
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def send(session, author, attachments, content="Look at this", client_id=""):
    ids = [attachment.pk for attachment in attachments]
    return asking.send(session, author, content, client_id or uuid.uuid4().hex, attachments=ids)


def refused(code, verb, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        verb(*args, **kwargs)
    assert caught.value.code == code, caught.value
    return caught.value


def bytes_of(attachment):
    with storage().open(StoredFile.objects.get(pk=attachment.file_id).key) as stored:
        return stored.read()


def exists(attachment):
    return storage().exists(attachment.file.key)


@pytest.fixture
def get(session):
    """`get(user, attachment)`: its file, as the user's browser is answered."""

    def ask_for(user, attachment, **query):
        client = Client()
        if user is not None:
            client.force_login(user)
        return client.get(f"/api/attachments/{attachment.pk}/file", query)

    return ask_for


# --- what it is ---


@pytest.mark.parametrize(
    ("content", "type_"),
    [
        (files.png(), "image/png"),
        (files.image("JPEG"), "image/jpeg"),
        (files.image("GIF"), "image/gif"),
        (files.image("WEBP"), "image/webp"),
        (files.pdf("Hello"), "application/pdf"),
        ("Grüße, 你好".encode(), "text/plain"),
        ("Grüße".encode("utf-16"), "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "text/plain"),
        (b"<!doctype html><script>alert(1)</script>", "text/plain"),
        (b"A text that speaks of %PDF-1.4.", "text/plain"),
    ],
)
def test_a_file_is_what_its_content_says(alice, content, type_):
    assert uploaded(alice, content, "misleading.exe").file.type == type_


@pytest.mark.parametrize(
    "content", [b"\x00\x01\x02", b"MZ\x90\x00\x03", b"\xff\xfe\xfa", b"valid utf-8 \x01 but no text", b"PK\x03\x04"]
)
def test_what_is_no_image_no_pdf_and_no_text_is_refused(alice, content):
    refused("wrong_type", uploaded, alice, content, "picture.png")
    assert not StoredFile.objects.exists() and not Attachment.objects.exists()


def test_an_operator_may_allow_fewer_types(alice, settings):
    settings.ASSISTANT_ATTACHMENT_TYPES = ["text/plain"]
    assert "text" in refused("wrong_type", uploaded, alice, files.png()).detail


def test_an_image_of_too_many_pixels_is_refused_by_its_header(alice, monkeypatch):
    """A bomb: a few bytes that would be gigabytes of pixels."""
    monkeypatch.setattr(sniff, "MAX_PIXELS", 1_000)
    refused("too_big", uploaded, alice, files.png(100, 100))
    assert not StoredFile.objects.exists()
    monkeypatch.undo()
    refused("too_big", uploaded, alice, files.png_that_claims(60_000, 60_000))
    assert not StoredFile.objects.exists()


def test_size_and_emptiness_are_refused_with_the_number(alice, settings):
    settings.ASSISTANT_ATTACHMENT_MAX_MB = 0.001
    assert "0.001 MB" in refused("too_big", uploaded, alice, b"x" * 2_000).detail
    refused("empty_file", uploaded, alice, b"")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("a\nb\x00c\u202e.txt", "abc.txt"),
        ("", "file"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_a_name_is_only_a_name(given, kept):
    assert attaching.clean_name(given) == kept


# --- sending ---


def test_files_are_sent_with_a_message_in_their_order(session, alice, frames):
    first, second = uploaded(alice, name="1.txt", session=session), uploaded(alice, files.png(), "2.png")
    sent = send(session, alice, [second, first])
    shown = wire.message_json(sent.message)["attachments"]
    assert [a["name"] for a in shown] == ["2.png", "1.txt"]
    assert (shown[0]["width"], shown[0]["height"], shown[0]["type"]) == (40, 30, "image/png")
    created = next(f["message"] for f in frames if f["type"] == "message.created" and f["message"]["role"] == "user")
    assert created["attachments"] == shown
    assert wire.message_json(Message.objects.shown().get(pk=sent.message.pk))["attachments"] == shown


def test_a_message_with_a_file_needs_no_text(session, alice):
    assert send(session, alice, [uploaded(alice)], content="  ").message.content == ""
    refused("empty", ask, session, alice, "  ")


def test_the_same_send_again_has_the_same_files(session, alice):
    attachment = uploaded(alice)
    first = send(session, alice, [attachment], client_id="once")
    again = send(session, alice, [attachment], client_id="once")
    assert not again.is_new and again.message.pk == first.message.pk


def test_nobody_sends_a_file_twice_or_one_of_somebody_elses(session, alice, bob):
    attachment = uploaded(alice, session=session)
    refused("no_such_attachment", send, session, bob, [attachment])
    send(session, alice, [attachment])
    refused("no_such_attachment", send, session, alice, [attachment])
    assert session.messages.filter(role="user").count() == 1


def test_a_file_for_one_session_is_not_sent_in_another(session, alice):
    other = ChatSession.objects.create()
    refused("no_such_attachment", send, session, alice, [uploaded(alice, session=other)])


def test_too_many_files_are_refused_with_the_number(session, alice, settings):
    settings.ASSISTANT_ATTACHMENT_MAX_COUNT = 1
    refusal = refused("too_many_attachments", send, session, alice, [uploaded(alice), uploaded(alice)])
    assert "1 files" in refusal.detail and not session.messages.exists()


def test_a_withdrawn_message_gives_its_files_back(session, alice):
    ask(session, alice)
    attachment = uploaded(alice)
    waiting = send(session, alice, [attachment]).message
    asking.withdraw(waiting)
    assert wire.message_json(now(waiting))["attachments"] == []
    assert wire.message_json(send(session, alice, [attachment]).message)["attachments"]


def test_two_sends_at_once_do_not_share_a_file(session, alice):
    attachment = uploaded(alice)

    def one():
        try:
            return send(session, alice, [attachment]).message.pk
        except Refused as refusal:
            return refusal.code

    outcomes = at_once(one, one)
    assert outcomes.count("no_such_attachment") == 1


# --- quotas ---


def test_a_users_quota_counts_all_that_is_kept(session, alice, bob, settings):
    settings.ASSISTANT_ATTACHMENT_USER_QUOTA_MB = 0.001
    kept = uploaded(alice, b"x" * 700)
    refusal = refused("quota_full", uploaded, alice, b"x" * 700)
    assert refusal.status == 429 and refusal.retry_after and StoredFile.objects.count() == 1
    uploaded(bob, b"x" * 700)
    attaching.take_back(kept)
    uploaded(alice, b"x" * 700)


def test_two_uploads_at_once_do_not_both_take_the_last_place(alice, settings):
    settings.ASSISTANT_ATTACHMENT_USER_QUOTA_MB = 0.001

    def one():
        try:
            return uploaded(alice, b"x" * 700).name
        except Refused as refusal:
            return refusal.code

    assert sorted(at_once(one, one)) == ["notes.txt", "quota_full"]


def test_too_many_in_a_minute_are_refused_with_the_seconds_to_wait(alice, bob, settings):
    settings.ASSISTANT_UPLOAD_RATE = 2
    uploaded(alice), uploaded(alice)
    with pytest.raises(Refused) as refused:
        uploaded(alice)
    assert (refused.value.code, refused.value.status) == ("too_fast", 429) and 0 < refused.value.retry_after <= 30
    assert uploaded(bob) and Attachment.objects.filter(uploader=alice).count() == 2


def test_a_sessions_quota_counts_also_what_was_uploaded_before_it_existed(session, alice, settings):
    settings.ASSISTANT_ATTACHMENT_SESSION_QUOTA_MB = 0.001
    send(session, alice, [uploaded(alice, b"x" * 700, session=session)])
    refused("quota_full", uploaded, alice, b"x" * 700, session=session)
    refused("quota_full", send, session, alice, [uploaded(alice, b"x" * 700)])


# --- serving ---


def test_a_sent_file_is_for_participants_only(session, alice, bob, vera, charlie, get):
    attachment = uploaded(alice)
    assert [get(user, attachment).status_code for user in (alice, bob, charlie, None)] == [200, 404, 404, 401]
    send(session, alice, [attachment])
    assert [get(user, attachment).status_code for user in (alice, bob, vera, charlie, None)] == [
        200,
        200,
        200,
        404,
        401,
    ]
    session.participants.filter(user=alice).delete()
    assert get(alice, attachment).status_code == 404


@pytest.mark.parametrize(
    ("content", "type_", "disposition"),
    [
        (files.png(), "image/png", 'inline; filename="a"'),
        (b"<svg onload='alert(1)'/>", "text/plain; charset=utf-8", 'attachment; filename="a"'),
        (b"<html><script>alert(1)</script></html>", "text/plain; charset=utf-8", 'attachment; filename="a"'),
        (files.pdf("x"), "application/pdf", 'attachment; filename="a"'),
    ],
)
def test_only_images_are_shown_and_nothing_runs_here(alice, get, content, type_, disposition):
    response = get(alice, uploaded(alice, content, "a"))
    assert response.content == content
    assert (response["Content-Type"], response["Content-Disposition"]) == (type_, disposition)
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_a_name_in_any_script_comes_back(alice, get):
    assert "filename*=utf-8''%E6%97%A5.txt" in get(alice, uploaded(alice, name="日.txt"))["Content-Disposition"]


def test_the_storage_knows_no_names_and_only_the_owner_reads_it(alice):
    attachment = uploaded(alice, name="salaries.txt")
    path = storage().path(attachment.file.key)
    assert "salaries" not in path and path.startswith(str(storage().path("")))
    import os

    assert os.stat(path).st_mode & 0o077 == 0


# --- over HTTP ---


def test_an_upload_is_answered_with_what_the_message_will_show(session, alice):
    client = Client(headers={"Authorization": f"Bearer {ApiToken.issue(alice)}"})
    file = SimpleUploadedFile("big.txt", b"line\n" * 400_000)  # more than stays in memory
    response = client.post(f"/api/sessions/{session.pk}/attachments", {"file": file})
    made = response.json()
    assert response.status_code == 201
    assert (made["name"], made["size"], made["type"]) == (
        "big.txt",
        2_000_000,
        "text/plain",
    )
    assert client.get(made["url"]).content == b"line\n" * 400_000
    body = {"client_id": "1", "content": "Read this", "attachments": [made["id"]]}
    sent = client.post(f"/api/sessions/{session.pk}/messages", body, content_type="application/json").json()
    assert sent["message"]["attachments"] == [made]
    again = client.delete(f"/api/attachments/{made['id']}")
    assert (again.status_code, again.json()["code"]) == (409, "already_sent")


def test_a_form_without_a_file_is_bad_input(session, alice):
    client = Client(headers={"Authorization": f"Bearer {ApiToken.issue(alice)}"})
    response = client.post(f"/api/sessions/{session.pk}/attachments", {"other": "x"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid")


def test_an_upload_leaves_no_temporary_file(session, alice, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    during = []
    saved = storage().save

    def save(key, content):
        during.extend(tmp_path.iterdir())
        return saved(key, content)

    monkeypatch.setattr(type(storage()), "save", lambda self, key, content: save(key, content))
    client = Client(headers={"Authorization": f"Bearer {ApiToken.issue(alice)}"})
    client.post(f"/api/sessions/{session.pk}/attachments", {"file": SimpleUploadedFile("a", b"x" * 3_000_000)})
    assert during == [] and list(tmp_path.iterdir()) == []


# --- clearing away ---


def test_a_file_goes_with_its_session_once_that_is_committed(session, alice):
    attachment = uploaded(alice)
    send(session, alice, [attachment])
    session_changes.delete(session)
    assert not exists(attachment) and not StoredFile.objects.exists()


def test_a_file_taken_back_is_gone(alice):
    attachment = uploaded(alice)
    attaching.take_back(attachment)
    assert not exists(attachment) and not StoredFile.objects.exists() and not Attachment.objects.exists()


def test_what_was_never_sent_is_swept_away_and_what_was_sent_is_not(session, alice):
    sent, fresh, old = uploaded(alice), uploaded(alice), uploaded(alice)
    send(session, alice, [sent])
    long_ago = timezone.now() - timedelta(days=2)
    Attachment.objects.exclude(pk=fresh.pk).filter(message=None).update(free_since=long_ago)
    StoredFile.objects.update(created_at=long_ago)
    assert tasks.sweep_files() == 1
    assert [exists(attachment) for attachment in (sent, fresh, old)] == [True, True, False]


def test_an_upload_whose_process_died_is_swept_away(alice, monkeypatch):
    """Killed after the row and in the middle of the bytes: nothing of it can be sent, and the sweep finds both."""

    def die(self, key, content):
        type(storage())._save(self, key, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(storage()), "save", die)
        with pytest.raises(KeyboardInterrupt):
            uploaded(alice)
    half = Attachment.objects.get()
    assert exists(half) and not Attachment.objects.unsent_of(alice.pk).exists()
    long_ago = timezone.now() - timedelta(days=2)
    Attachment.objects.update(free_since=long_ago)
    StoredFile.objects.update(created_at=long_ago)
    assert attaching.sweep() == 1
    assert not exists(half) and not StoredFile.objects.exists()


def test_a_storage_that_fails_leaves_nothing_and_says_so(alice, monkeypatch):
    def fail(self, key, content):
        raise OSError("disk full")

    monkeypatch.setattr(type(storage()), "save", fail)
    assert refused("storage", uploaded, alice).status == 503
    assert not StoredFile.objects.exists() and not Attachment.objects.exists()


def test_a_storage_that_refuses_to_delete_is_asked_again(alice, monkeypatch):
    attachment = uploaded(alice)
    with monkeypatch.context() as patch:
        patch.setattr(type(storage()), "delete", lambda self, key: 1 / 0)
        attaching.take_back(attachment)
    assert exists(attachment) and StoredFile.objects.count() == 1
    StoredFile.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert attaching.sweep() == 1 and not exists(attachment)


def test_a_copy_shares_the_bytes_and_outlives_the_first(session, alice):
    attachment = uploaded(alice, b"Shared.")
    send(session, alice, [attachment])
    attachment.refresh_from_db()
    other = ChatSession.objects.create()
    question = Message.objects.create(session=other, role="user", status="success", position=2, content="x")
    copy, key = attachment.copy_to(other, question), attachment.file.key
    assert wire.message_json(question)["attachments"][0]["name"] == "notes.txt"
    session_changes.delete(session)
    assert bytes_of(copy) == b"Shared."
    session_changes.delete(other)
    assert not storage().exists(key)
