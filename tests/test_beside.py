"""What models send beside their words, sources and pictures: stored with the answer, once, whatever dies; and shown."""

import json

import pytest

from assistant import llm
from assistant.lifecycle import asking, forking, people, recovery, rounds, sources_and_pictures
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.llm import dialect
from assistant.models import Attachment, StoredFile
from assistant.models.attachment import storage
from assistant.models.ids import new_id
from assistant.presentation.wire import message_json
from assistant.prompt.context import prompt_for
from assistant.text.sources import LONGEST_TITLE, MOST, Sources
from tests import files
from tests.acting import answer_of, ask, claimed, finish, kill, now
from tests.calling import Caller
from tests.provider import expected_text
from tests.provider.script import PICTURE, source
from tests.provider.valid import check_request
from tests.rounds import run_turn

pytestmark = pytest.mark.django_db(transaction=True)


def bytes_of(attachment):
    with storage().open(StoredFile.objects.get(pk=attachment.file_id).key) as stored:
        return stored.read()


def pictures(answer):
    return [(picture.round, picture.name) for picture in answer.attachments.order_by("position")]


@pytest.fixture
def answered(session, alice, worker, asked_here, loop):
    """`answered(script)`: an answer whose model did what the script says."""

    def run(script):
        answer = answer_of(ask(session, alice, model=f"openai/{script}"))
        run_turn(loop, claimed(answer, worker))
        return now(answer)

    return run


@pytest.fixture
def running(session, alice, worker):
    answer = answer_of(ask(session, alice))
    return answer, claimed(answer, worker)


@pytest.fixture
def answer_with_both(running):
    answer, claim = running
    title = "A *bold* [title]"
    sources_and_pictures.cite(claim, [{"url": "https://example.org/<a>", "title": title, "round": 1}])
    assert sources_and_pictures.keep_picture(claim, files.png(), 1, new_id())
    finish(claim, "See.")
    return now(answer)


# --- a turn ---


def test_sources_and_a_picture_are_stored_with_the_answer_and_told(answered, frames):
    answer = answered("words-n3-cite=2-picture")
    assert (answer.status, answer.content) == ("success", expected_text("words-n3"))
    told = [frame["message"] for frame in frames if frame["type"] == "message.updated"][-1]
    assert told["sources"] == [dict(zip(("url", "title"), source(number), strict=True)) for number in (0, 1)]
    (picture,) = answer.attachments.all()
    assert bytes_of(picture) == PICTURE and picture.uploader is None
    assert [(one["id"], one["type"], one["name"]) for one in told["attachments"]] == [
        (str(picture.pk), "image/png", "image-1.png")
    ]
    assert message_json(answer)["sources"] == told["sources"]


def test_an_answer_of_nothing_but_a_picture_is_a_whole_one(answered, asked_here):
    answer = answered("empty-picture")
    assert (answer.status, answer.content, answer.pictures) == ("success", "", 1)
    assert len(asked_here.requests()) == 1


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("ASSISTANT_ATTACHMENT_MAX_COUNT", 0, "This installation does not take files."),
        ("ASSISTANT_ATTACHMENT_MAX_MB", 0, "A file may have 0 MB; this one has 0.0 MB."),
        ("ASSISTANT_ATTACHMENT_TYPES", ["image/gif"], "“The image” is none of the kinds that can be attached: GIF."),
        ("ASSISTANT_ATTACHMENT_SESSION_QUOTA_MB", 0,
         "This session has 0.0 of 0 MB of files already; this one does not fit."),
    ],
)  # fmt: skip
def test_a_picture_that_can_not_be_kept_leaves_a_line_and_the_answer_is_whole(
    answered, settings, setting, value, why
):
    setattr(settings, setting, value)
    answer = answered("words-n3-picture")
    assert answer.status == "success"
    assert answer.content.strip() == f"{expected_text('words-n3')}\n\n*An image could not be kept. {why}*"
    assert not answer.attachments.exists() and not StoredFile.objects.exists()


def test_a_storage_that_fails_costs_the_picture_and_not_the_answer(answered, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.save", full)
    answer = answered("words-n3-picture")
    assert answer.status == "success" and "An image could not be kept. It could not be stored here." in answer.content
    assert not StoredFile.objects.exists()


# --- what is stored, and what is not ---


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a, or so it says", b"<svg xmlns='http://www.w3.org/2000/svg'/>", files.pdf("x"),
     files.png_that_claims(60_000, 60_000)],
)  # fmt: skip
def test_what_is_no_image_by_its_content_is_none(running, content):
    answer, claim = running
    with pytest.raises(Refused):
        sources_and_pictures.keep_picture(claim, content, 1, new_id())
    assert not StoredFile.objects.exists() and now(answer).pictures == 0


def test_a_picture_that_is_stored_twice_is_stored_once(running):
    answer, claim = running
    id_ = new_id()
    for _ in range(2):
        assert sources_and_pictures.keep_picture(claim, PICTURE, 1, id_)
    assert Attachment.objects.count() == StoredFile.objects.count() == now(answer).pictures == 1


def test_a_late_worker_adds_nothing_and_leaves_no_file(running):
    answer, claim = running
    finish(claim)
    assert not sources_and_pictures.keep_picture(claim, PICTURE, 1, new_id())
    assert not sources_and_pictures.cite(claim, [{"url": "https://late.example/", "title": "", "round": 1}])
    assert now(answer).sources is None and not StoredFile.objects.exists()


def test_after_a_death_what_belongs_to_stored_rounds_stays_and_the_rest_is_made_anew(running, worker):
    answer, claim = running
    first = {"url": "https://example.org/1", "title": "", "round": 1}
    assert sources_and_pictures.keep_picture(claim, PICTURE, 1, new_id())
    assert sources_and_pictures.cite(claim, [first])
    call = rounds.NewCall("c", "look", "{}", "Look", is_idempotent=True)
    assert rounds.open_round(claim, Written("Look. ", 1, (6,)), 1, [call])
    assert sources_and_pictures.keep_picture(claim, PICTURE, 2, new_id())
    assert sources_and_pictures.cite(claim, [first, {"url": "https://example.org/2", "title": "", "round": 2}])
    kill(worker)
    recovery.recover(now(answer))
    again = claimed(answer, worker)
    assert pictures(now(answer)) == [(1, "image-1.png")] and now(answer).sources == [first]
    assert again.sources == (first,) and StoredFile.objects.count() == 1
    assert sources_and_pictures.keep_picture(again, PICTURE, 2, new_id())
    assert pictures(now(answer)) == [(1, "image-1.png"), (2, "image-2.png")] and now(answer).pictures == 2


def test_stop_keeps_what_has_come(running, alice):
    answer, claim = running
    sources_and_pictures.keep_picture(claim, PICTURE, 1, new_id())
    asking.cancel(answer, alice)
    assert len(message_json(now(answer))["attachments"]) == 1


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "ftp://example.org/", "//example.org", "/path", "https://", "https://[",
     "https://bank.example@evil.example/", "https://example.org/ a", "https://example.org/\x00",
     f"https://x/{'a' * 2_000}", ""],
)  # fmt: skip
def test_only_addresses_in_the_web_are_sources(url):
    sources = Sources()
    sources.add(url, "A title", 1)
    assert sources.told == [] and not sources.is_new


def test_sources_are_each_told_once_in_their_order_and_bounded():
    sources = Sources()
    for number in range(MOST + 5):
        for title in ("", f"Title\n {number} {'x' * 500}"):
            sources.add(f"https://example.org/{number}", title, 1)
    assert [one["url"] for one in sources.told] == [f"https://example.org/{number}" for number in range(MOST)]
    assert all(len(one["title"]) == LONGEST_TITLE for one in sources.told)
    assert sources.told[3]["title"].startswith("Title 3 xxx")


# --- where it is seen ---


@pytest.mark.parametrize("text", ["See.", ""])
def test_the_next_question_shows_what_was_made_to_a_model_that_sees(
    session, alice, worker, running, monkeypatch, text
):
    monkeypatch.setattr(llm, "sees", lambda model: True)
    _, claim = running
    sources_and_pictures.keep_picture(claim, files.png(), 1, new_id())
    finish(claim, text)
    lines = prompt_for(claimed(answer_of(ask(session, alice, "Make it blue")), worker)).messages
    said = [(line["role"], line["content"]) for line in lines]
    assert said[0] == ("user", "How are you?") and said[-1] == ("user", "Make it blue")
    assert said[1:-2] == ([("assistant", text)] if text else [])
    assert said[-2][0] == "user" and [part["type"] for part in said[-2][1]] == ["text", "text", "image_url"]
    check_request({"messages": dialect.adapted("openai/any", lines, sees=True)})


def test_an_export_has_both(session, alice, answer_with_both):
    def exported(kind):
        response = Caller(alice)("get", f"/sessions/{session.pk}/export?format={kind}")
        return b"".join(response.streaming_content).decode()

    said = "See.\n\n*Image: image-1.png*\n\nSources:\n\n1. A \\*bold\\* \\[title\\] <https://example.org/%3Ca%3E>"
    assert said in exported("md")
    message = json.loads(exported("json"))["messages"][-1]
    assert message["sources"][0]["url"] == "https://example.org/<a>" and len(message["attachments"]) == 1


def test_a_fork_has_both_and_shares_the_picture(alice, answer_with_both):
    fork = forking.fork(answer_with_both, alice).session
    copy = message_json(fork.messages.get(role="assistant"))
    assert copy["sources"] == message_json(answer_with_both)["sources"]
    assert StoredFile.objects.count() == 1 and Attachment.objects.filter(session=fork).count() == 1
    assert Caller(alice)("get", copy["attachments"][0]["url"].removeprefix("/api")).content == files.png()


def test_a_reader_by_the_link_sees_both(session, alice, answer_with_both, client):
    token = people.share(session, alice)[0].token
    (shown,) = client.get(f"/api/shared/{token}/messages").json()["messages"][1:]
    assert shown["sources"] == message_json(answer_with_both)["sources"]
    assert client.get(shown["attachments"][0]["url"]).content == files.png()
