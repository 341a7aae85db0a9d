"""The operator's commands: `cleanup_messages`, `create_token`, and what stops `serve`."""

import re
import sys
from datetime import timedelta
from io import StringIO

import pytest
import redis
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.utils import timezone

from assistant.delivery import valkey
from assistant.lifecycle import recovery
from assistant.models import ApiToken, ChatSession, Message, Participant
from assistant.models.message import max_recoveries
from assistant.models.participant import Role
from assistant.processes.serving import check_port
from tests.acting import a_worker, answer_of, ask, claimed, jobs, kill, lose_job, now, write
from tests.product import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def cleanup(*arguments):
    """The lines that the command prints."""
    printed = StringIO()
    call_command("cleanup_messages", *arguments, stdout=printed)
    return printed.getvalue().splitlines()


def another_session(owner):
    made = ChatSession.objects.create(title="Another")
    Participant.objects.create(session=made, user=owner, role=Role.OWNER)
    return made


@pytest.fixture
def written(session, alice, worker):
    """An answer that a living worker writes."""
    answer = answer_of(ask(session, alice))
    write(claimed(answer, worker), "so far", 1)
    return answer


@pytest.fixture
def orphan(alice):
    """An answer whose worker has died."""
    worker = a_worker("dead")
    answer = answer_of(ask(another_session(alice), alice))
    write(claimed(answer, worker), "half a", 2)
    kill(worker)
    return answer


@pytest.fixture
def jobless(alice):
    """A pending answer that no job delivers."""
    answer = answer_of(ask(another_session(alice), alice))
    lose_job(answer)
    return answer


def stored():
    return list(Message.objects.order_by("pk").values())


# --- cleanup_messages ---


def test_with_nothing_stuck_it_says_so(written):
    before = stored()
    assert cleanup() == ["0 stuck messages handled."] and cleanup("--dry-run") == ["0 stuck messages found."]
    assert stored() == before


def test_without_the_extra_for_its_bar_it_brings_them_on_all_the_same(orphan, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # as if it were not installed
    *lines, count = cleanup()
    assert len(lines) == 1 and count == "1 stuck message handled."


def test_it_brings_the_stuck_on_and_prints_one_line_for_each(written, orphan, jobless):
    *lines, count = cleanup()
    assert count == "2 stuck messages handled." and len(lines) == 2
    for message, status, reason in (
        (orphan, "processing", "has not been heard for"),
        (jobless, "pending", "its job"),
    ):
        [line] = [line for line in lines if line.startswith(str(message.pk))]
        assert f"session={message.session_id} {status}" in line and reason in line and line.endswith(": recovered")
        assert now(message).status == "pending" and now(message).is_alive() and str(message.pk) in jobs()
    assert now(orphan).best()[0] == "half a"
    assert now(written).status == "processing" and cleanup() == ["0 stuck messages handled."]


def test_a_dry_run_changes_nothing(written, orphan, jobless, frames, sent_to_workers):
    before = stored(), jobs()
    *lines, count = cleanup("--dry-run")
    assert count == "2 stuck messages found." and all(line.endswith(": would retry") for line in lines)
    assert (stored(), jobs()) == before and not frames and not sent_to_workers()


def test_a_dry_run_says_what_would_be_done(orphan, jobless):
    assert all(line.endswith(": would fail") for line in cleanup("--dry-run", "--policy", "fail")[:-1])
    Message.objects.filter(pk=orphan.pk).update(lone_deaths=max_recoveries())
    said = {line.split()[0]: line.rpartition(": ")[2] for line in cleanup("--dry-run")[:-1]}
    assert said == {str(orphan.pk): "would fail", str(jobless.pk): "would retry"}
    done = {line.split()[0]: line.rpartition(": ")[2] for line in cleanup()[:-1]}
    assert done == {str(orphan.pk): "abandoned", str(jobless.pk): "recovered"}


def test_a_dry_run_lists_the_same_as_the_page_of_unfinished_answers(admin_client, written, orphan, jobless):
    listed = {}
    for line in cleanup("--dry-run")[:-1]:
        name, _, rest = line.partition(" ")
        listed[name] = re.sub(r"\d+ s\b", "s", rest.split(": ")[1])
    page = admin_client.get("/admin/assistant/unfinishedanswer/")
    model_admin = page.context["cl"].model_admin
    states = {str(answer.pk): model_admin.state(answer) for answer in page.context["cl"].result_list}
    shown = {name: re.sub(r"\d+ s\b", "s", state) for name, state in states.items()}
    assert shown == {name: f"stuck: {reason}" for name, reason in listed.items()} | {str(written.pk): "alive"}


def test_younger_ones_are_left_alone(orphan, jobless):
    Message.objects.filter(pk=orphan.pk).update(created_at=timezone.now() - timedelta(seconds=120))
    [line, count] = cleanup("--older-than", "60")
    assert line.startswith(str(orphan.pk)) and count == "1 stuck message handled."
    assert not now(jobless).is_alive()


def test_policy_fail_ends_them_keeps_their_text_and_tells_their_viewers(orphan, jobless, written, frames):
    *lines, count = cleanup("--policy", "fail")
    assert count == "2 stuck messages handled." and all(line.endswith(": abandoned") for line in lines)
    assert (now(orphan).status, now(orphan).error_code, now(orphan).content) == ("error", "abandoned", "half a")
    assert (now(jobless).status, now(jobless).error_code) == ("error", "abandoned")
    assert now(written).status == "processing"
    told = {frame["message"]["id"] for frame in frames if frame["type"] == "message.updated"}
    assert told == {str(orphan.pk), str(jobless.pk)}


def test_one_that_can_not_be_handled_does_not_end_it_and_is_told_by_the_exit_code(orphan, jobless, monkeypatch):
    recover = recovery.recover

    def recover_but_one(message, **options):
        if message.pk == orphan.pk:
            raise RuntimeError("a bad row")
        return recover(message, **options)

    monkeypatch.setattr(recovery, "recover", recover_but_one)
    printed = StringIO()
    with pytest.raises(CommandError, match="1 of them could not be handled") as end:
        call_command("cleanup_messages", stdout=printed)
    assert end.value.returncode == 1
    assert "not recovered: a bad row" in printed.getvalue() and now(jobless).is_alive()


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_wrong_age_is_refused_with_a_sentence(orphan, seconds):
    with pytest.raises(CommandError, match="--older-than"):
        cleanup(f"--older-than={seconds}")
    assert now(orphan).status == "processing"


def test_an_unknown_policy_is_refused():
    with pytest.raises(CommandError, match="--policy"):
        cleanup("--policy", "forget")


# --- create_token ---


def token_for(username):
    printed = StringIO()
    call_command("create_token", username, stdout=printed)
    return printed.getvalue()


def test_a_token_is_printed_once_alone_and_works(client, alice):
    [token] = token_for("alice").split()
    me = client.get("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert me.status_code == 200 and me.json()["name"] == "alice"
    assert token not in str(ApiToken.objects.values().get()), "only its hash is stored"


def test_each_token_is_another_and_the_earlier_ones_go_on_working(client, alice):
    first, second = token_for("alice").strip(), token_for("alice").strip()
    assert first != second
    for token in (first, second):
        assert client.get("/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_token_of_an_account_that_was_switched_off_is_worth_nothing(client, alice):
    token = token_for("alice").strip()
    get_user_model().objects.update(is_active=False)
    assert client.get("/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_an_unknown_user_is_named_in_a_sentence(alice):
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        token_for("nobody")
    assert not ApiToken.objects.exists()


# --- serve ---


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_can_not_be_listened_on_is_told_in_words(host):
    with pytest.raises(CommandError, match=f"Can't listen on {host}:8000: ") as refusal:
        check_port(host, 8000)
    assert "Unknown error" not in str(refusal.value) and "None" not in str(refusal.value)


# --- worker ---


def test_a_worker_on_a_redis_that_is_too_old_ends_with_a_sentence(monkeypatch):
    """It would have no command to wait at the bell with, and would only fetch what nobody has fetched within a second."""
    monkeypatch.setattr(redis.Redis, "info", lambda *section: {"redis_version": "6.2.14"})
    with pytest.raises(CommandError, match=r"^REDIS_URL: the server is Redis 6\.2\.14, .* 7 or newer"):
        call_command("worker", skip_checks=True)


def test_a_server_that_is_new_enough_or_does_not_answer_keeps_no_worker_from_starting(settings):
    assert valkey.too_old() is None
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"  # it may be back in a moment
    assert valkey.too_old() is None
