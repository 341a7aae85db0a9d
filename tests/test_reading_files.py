"""What models are given of files: read once, by a process that may die of it, and told with their names."""

import asyncio
import base64
import io
import subprocess
import sys
import time
import uuid

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter

from assistant import llm
from assistant.database import Database
from assistant.files import extraction, isolation
from assistant.lifecycle import asking, session_changes
from assistant.llm import dialect
from assistant.models import Attachment, StoredFile
from assistant.models.attachment import storage
from assistant.prompt import context, file_contents
from tests import files
from tests.acting import answer_of, claimed, finish
from tests.files import uploaded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def seeing(monkeypatch):
    """Which models see: changed by tests."""
    models = {"test/model"}
    monkeypatch.setattr(llm, "sees", models.__contains__)
    return models


@pytest.fixture
def told(session, alice, worker, loop):
    """`told(content, name, ...)`: what a model is told of a message with these files (pairs of content and name)."""

    def happen(*pairs, text="Look"):
        ones = [uploaded(alice, content, name, session) for content, name in pairs]
        sent = asking.send(session, alice, text, uuid.uuid4().hex, attachments=[one.pk for one in ones])
        claim = claimed(answer_of(sent), worker)
        unread = context.prompt_for(claim).unread

        async def prepared():
            database = Database("test")
            try:
                await file_contents.prepare(unread, database)
            finally:
                database.close(wait=True)

        loop.run(prepared())
        prompt = context.prompt_for(claim)
        finish(claim)
        return prompt.messages[-1]["content"]

    return happen


def encrypted():
    writer = PdfWriter(PdfReader(io.BytesIO(files.pdf("Secret"))))
    writer.encrypt("password", algorithm="RC4-128")
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def test_a_text_is_told_with_its_name(told):
    assert told((b"Some words.", "notes.txt")) == (
        "Look\n\n[The file “notes.txt”:]\nSome words.\n[End of the file “notes.txt”]"
    )


def test_a_message_that_is_only_a_file_is_told_too(told):
    assert told((b"Words.", "a.txt"), text="").startswith("[The file “a.txt”:]")


def test_a_text_in_utf_16_is_read(told):
    assert "Grüße" in told(("Grüße".encode("utf-16"), "a.txt"))


def test_a_pdf_is_told_page_by_page(told):
    found = told((files.pdf("First page", "Second page"), "report.pdf"))
    assert "[page 1]\nFirst page" in found and "[page 2]\nSecond page" in found and "“report.pdf”" in found


def test_a_long_file_is_cut_and_says_so(told, settings):
    settings.ASSISTANT_ATTACHMENT_MAX_TEXT = 20
    for content in (b"x" * 100, files.pdf("y" * 100)):
        assert "[cut here: the file is longer]" in told((content, "long"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"%PDF-1.4 and then nonsense", extraction.BROKEN_PDF),
        (files.pdf(""), extraction.NO_TEXT),
        (encrypted(), extraction.ENCRYPTED),
    ],
)
def test_a_pdf_that_cannot_be_read_says_why_to_the_model_and_to_people(told, content, problem, frames):
    assert told((content, "a.pdf")) == f"Look\n\n[The file “a.pdf” is attached, but it can't be read: {problem}]"
    changed = [f["message"] for f in frames if f["type"] == "message.updated" and f["message"]["role"] == "user"]
    assert changed[-1]["attachments"][0]["problem"] == problem
    assert changed[-1]["version"] > 1


def test_a_file_is_read_once(told, monkeypatch):
    told((b"Once.", "a.txt"))
    monkeypatch.setattr(file_contents.Reader, "read", lambda self: 1 / 0)
    assert StoredFile.objects.filter(prepared_at=None).count() == 0
    with monkeypatch.context() as patch:
        patch.setattr(file_contents.Reader, "read", lambda self: file_contents.FileReading(text="Other."))
        assert "Other." in told((b"Another.", "b.txt"))


def test_an_image_goes_to_a_model_that_sees(told):
    parts = told((files.png(), "red.png"))
    assert [part["type"] for part in parts] == ["text", "text", "image_url"]
    assert parts[1]["text"] == "[The image “red.png”:]"
    url = parts[2]["image_url"]["url"]
    assert url == f"data:image/png;base64,{base64.b64encode(files.png()).decode()}"


def test_a_model_that_does_not_see_is_told_that_there_is_an_image(told, seeing):
    seeing.clear()
    assert told((files.png(), "red.png")) == "Look\n\n[The image “red.png” is attached, but you can't see images.]"


def test_a_large_image_is_made_small_and_both_go_with_it(told, alice, session):
    parts = told((files.image("JPEG", 4000, 1000), "wide.jpg"))
    kind, _, data = parts[2]["image_url"]["url"].partition(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert kind == "data:image/jpeg" and small.size == (file_contents.LONGEST_SIDE_PIXELS, 392)
    file = StoredFile.objects.get()
    assert storage().exists(file.small_key)
    session_changes.delete(session)
    assert not storage().exists(file.small_key) and not storage().exists(file.key)


def test_a_turned_photo_is_turned_back(told):
    made, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(made, "JPEG", exif=exif)
    data = told((made.getvalue(), "photo.jpg"))[2]["image_url"]["url"].partition(";base64,")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
        assert shown.size == (20, 40)


def test_a_moving_gif_is_shown_as_its_first_picture(told):
    assert told((files.image("GIF"), "a.gif"))[2]["image_url"]["url"].startswith("data:image/")


def test_a_broken_image_says_so(told):
    assert extraction.BROKEN_IMAGE in told((files.png(300, 300)[:120], "cut.png"))


def test_only_the_newest_images_are_shown_again(told, monkeypatch):
    monkeypatch.setattr(file_contents, "NEWEST_IMAGES", 1)
    parts = told((files.png(), "1.png"), (files.png(), "2.png"))
    assert sum(part["type"] == "image_url" for part in parts) == 1
    assert "“1.png” is attached, but it is too far back" in parts[1]["text"]


def test_a_file_that_vanished_from_the_storage_costs_only_itself(told, alice, monkeypatch):
    def gone(self, key, mode="rb"):
        raise FileNotFoundError(key)

    monkeypatch.setattr(type(storage()), "open", gone)
    assert file_contents.GONE in told((b"Words.", "a.txt"))


# --- the process that reads ---


def test_a_reader_that_hangs_is_ended_and_the_turn_goes_on(told, monkeypatch):
    monkeypatch.setattr(file_contents, "READING_SECONDS", 0.5)
    real = subprocess.Popen
    monkeypatch.setattr(
        isolation.subprocess,
        "Popen",
        lambda command, **k: real([sys.executable, "-c", "import time; time.sleep(60)"], **k),
    )
    began = time.monotonic()
    assert file_contents.TOO_LONG in told((files.pdf("x"), "a.pdf"))
    assert time.monotonic() - began < 20


def test_a_reader_that_crashes_costs_only_its_file(told, monkeypatch):
    real = subprocess.Popen
    monkeypatch.setattr(
        isolation.subprocess, "Popen", lambda command, **k: real([sys.executable, "-c", "import os; os.abort()"], **k)
    )
    assert file_contents.CRASHED in told((files.pdf("x"), "a.pdf"))


def test_stopping_a_turn_ends_the_reader(session, alice, worker, loop, monkeypatch):
    real = subprocess.Popen
    started = []

    def slow(command, **options):
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return started[-1]

    monkeypatch.setattr(isolation.subprocess, "Popen", slow)
    sent = asking.send(session, alice, "x", "1", attachments=[uploaded(alice, files.pdf("x")).pk])
    unread = context.prompt_for(claimed(answer_of(sent), worker)).unread

    async def scenario():
        database = Database("test")
        preparing = asyncio.create_task(file_contents.prepare(unread, database))
        while not started:
            await asyncio.sleep(0.02)
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
        database.close(wait=True)

    loop.run(scenario())
    assert started[0].wait(10) == -9
    assert Attachment.objects.get().file.prepared_at is None  # the next attempt reads it


def test_the_reader_has_no_secrets_and_writes_no_file(tmp_path):
    """Run as it is run: limits that it sets itself."""
    code = (
        "import runpy, sys; sys.argv = ['x', 'pdf', '10']\n"
        "import io; sys.stdin = io.TextIOWrapper(io.BytesIO(b''))\n"
        f"runpy.run_path({extraction.__file__!r}, run_name='__main__')\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'x')!r}, 'wb', 0).write(b'y')\n"
    )
    ended = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode != 0 and "File too large" in ended.stderr


def test_a_prompt_made_for_a_model_that_sees_is_fitted_for_one_that_falls_back():
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    assert dialect.without_images([{"role": "user", "content": parts}, {"role": "assistant", "content": "x"}]) == [
        {"role": "user", "content": "Look\n\n[you can't see this image]"},
        {"role": "assistant", "content": "x"},
    ]
