"""Images that tools find: people see them under the call, and models that see look at them."""

import pytest

from assistant import llm
from assistant.database import Database
from assistant.lifecycle import forking, found_images, rounds
from assistant.lifecycle.answering import Written
from assistant.llm import dialect
from assistant.models import Attachment, ShareLink, StoredFile, ToolCall
from assistant.models.attachment import storage
from assistant.presentation import wire
from assistant.presentation.public import messages as public_messages
from assistant.prompt import file_contents
from assistant.prompt.context import prompt_for
from assistant.tools import Image, Result, Service
from tests.acting import answer_of, ask, claimed, finish
from tests.calling import Caller
from tests.files import png, png_that_claims
from tests.provider.valid import check_request
from tests.rounds import offer, run_to_the_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def room(session, asked_here, settings, monkeypatch):
    camera = Service("camera", title="Camera")

    @camera.tool(title="Take a picture")
    def snap() -> Result:
        """Takes a picture."""
        return Result("The yard:\n[Image 1]", "The yard", (Image(png(), "Image 1"), Image(b"no image", "Image 2")))

    offer(settings, monkeypatch, camera)
    session.services = ["camera"]
    session.save()
    return session


@pytest.fixture
def claim(session, alice, worker):
    return claimed(answer_of(ask(session, alice)), worker)


@pytest.fixture
def call(claim):
    """A call that is being run."""
    assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c1", "snap", "{}", "Snap")])
    (call,) = rounds.open_calls(claim)
    return call


def settle(claim, call, *images):
    assert rounds.settle(claim, call, rounds.CallResult("success", "Look:", "Look", images))
    return ToolCall.objects.get(pk=call.pk)


@pytest.fixture
def told(claim, session, loop):
    """What a model is told at the end, once images have been read for it."""
    session.services = ["camera"]
    session.save()

    def look():
        unread = prompt_for(claim).unread

        async def prepare():
            database = Database("test")
            await file_contents.prepare(unread, database)
            database.close(wait=True)

        loop.run(prepare())
        return prompt_for(claim).messages

    return look


def test_a_model_that_sees_looks_at_what_a_tool_has_found(claim, call, told, monkeypatch):
    monkeypatch.setattr(llm, "sees", lambda model: True)
    settle(claim, call, Image(png(), "Yard"), Image(png(4_000, 10), "Panorama"))
    lines = told()
    check_request({"messages": dialect.adapted("openai/any", lines, sees=True), "tools": ["snap"]})
    asked, result, shown = lines[-3:]
    assert asked["tool_calls"] and (result["role"], result["content"]) == ("tool", "Look:")
    assert shown["role"] == "user", "results are texts with most providers"
    note, *parts = shown["content"]
    assert "snap" in note["text"], "it is said that this is no word of a person's"
    assert [part["type"] for part in parts] == ["text", "image_url"] * 2
    assert all(part["image_url"]["url"].startswith("data:image/") for part in parts[1::2])
    assert StoredFile.objects.exclude(small_key="").count() == 1, "a large one is made small, as one that is attached"


def test_a_model_that_does_not_see_is_told_that_there_is_an_image(room, alice, worker, loop, asked_here):
    ended = run_to_the_end(loop, answer_of(ask(room, alice, model="openai/results-tool=snap")), worker)
    assert ended.status == "success"
    _, body = [record["body"] for record in asked_here.requests()]
    check_request(body)
    assert body["messages"][-1]["role"] == "tool"
    assert "[Image 2 was left out: it is no PNG, JPEG, GIF or WebP.]" in body["messages"][-1]["content"]
    assert "“Image 1” is attached, but you can't see images" in body["messages"][-1]["content"]


def test_people_see_an_image_under_its_call_and_whoever_takes_part_can_open_it(claim, call, session, alice, charlie):
    settle(claim, call, Image(png(), "Yard"))
    finish(claim)
    message = Caller(alice)("get", f"/messages/{claim.message_id}").json()
    (image,) = message["tool_calls"][0]["images"]
    assert (image["name"], image["type"], image["width"]) == ("Yard", "image/png", 40) and message[
        "attachments"
    ] == []
    path = image["url"].removeprefix("/api")
    assert Caller(alice)("get", path).content == png()
    assert Caller(charlie)("get", path).status_code == 404


def test_readers_by_a_link_see_no_image_of_a_tool(claim, call, session, alice):
    settle(claim, call, Image(png()))
    finish(claim)
    token = Caller(alice)("post", f"/sessions/{session.pk}/share").json()["url"].rpartition("/")[2]
    (answer,) = public_messages([wire.message_json(session.messages.get(pk=claim.message_id))], token)
    assert answer["tool_calls"][0]["images"] == [] and ShareLink.objects.count() == 1
    path = f"/shared/{token}/attachments/{Attachment.objects.get().pk}/file"
    assert Caller(None)("get", path).status_code == 404


def test_what_is_no_image_or_too_much_is_left_out_and_said(claim, call, settings):
    settings.ASSISTANT_ATTACHMENT_MAX_MB = 0.001
    many = [Image(png(), "Fine")] * (found_images.MOST - 1)
    settled = settle(
        claim, call, Image(b"x" * 2_000, "B\x00ig \ud83d"), Image(png_that_claims(20_000, 20_000), "Bomb"), *many
    )
    assert settled.image_count == found_images.MOST - 2 == Attachment.objects.count()
    assert "[Big \ufffd was left out: an image may have 0.001 MB.]" in settled.result
    assert "[Bomb was left out: it has too many pixels.]" in settled.result
    assert f"[Further images were left out: {found_images.MOST} are kept of one result.]" in settled.result


def test_images_count_towards_the_session_s_quota(claim, call, settings):
    settings.ASSISTANT_ATTACHMENT_SESSION_QUOTA_MB = 0.00001
    settled = settle(claim, call, Image(png(), "Yard"))
    assert settled.image_count == 0 and "Yard was left out: This session has" in settled.result


def test_settling_twice_keeps_one_copy(claim, call):
    found_images.keep(claim, call, [Image(png(color="blue"))])  # a worker died behind this
    settle(claim, call, Image(png()))
    file = StoredFile.objects.get()
    with storage().open(file.key) as stored:
        assert stored.read() == png()


def test_a_worker_that_is_late_keeps_no_image(claim, call):
    finish(claim)
    assert found_images.keep(claim, call, [Image(png(), "Yard")]) == (
        0,
        "\n[Yard was left out: the answer has ended.]",
    )
    assert not StoredFile.objects.exists()


def test_a_fork_has_the_images_with_its_own_calls(claim, call, session, alice):
    settle(claim, call, Image(png()))
    finish(claim)
    fork = forking.fork(session.messages.get(pk=claim.message_id), alice).session
    copy = Attachment.objects.get(session=fork)
    assert copy.call.message.session_id == fork.pk and copy.file == StoredFile.objects.get()
    assert len(wire.message_json(copy.message)["tool_calls"][0]["images"]) == 1


def test_only_the_newest_images_of_a_conversation_are_shown_to_a_model(claim, call, told, monkeypatch):
    monkeypatch.setattr(file_contents, "NEWEST_IMAGES", 1)
    monkeypatch.setattr(llm, "sees", lambda model: True)
    settle(claim, call, Image(png(), "Old"), Image(png(), "New"))
    parts = told()[-1]["content"]
    assert [part["type"] for part in parts] == ["text", "text", "text", "image_url"]
    assert "“Old” is attached, but it is too far back" in parts[1]["text"]
