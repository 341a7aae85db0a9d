"""Files in a real browser: picked, dropped, pasted, removed, tried again, remembered over a reload, sent and seen."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests import files
from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product
from .windows import Window

pytestmark = pytest.mark.browser

# Where screenshots go, if somebody wants to look at them.
PICTURES = os.environ.get("PARLEY_PICTURES", "")

_GIVE = """([target, kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const options = { bubbles: true, cancelable: true };
  const element = document.querySelector(target);
  if (kind === "paste") element.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: data }));
  else for (const type of ["dragenter", "dragover", "drop"]) {
    element.dispatchEvent(new DragEvent(type, { ...options, dataTransfer: data }));
  }
}"""


@pytest.fixture
def api(people: tuple[Person, Person]) -> Person:
    """Alice's other way in."""
    return people[0]


@pytest.fixture
def alice(product: Product, browser: Browser) -> Iterator[Window]:
    with Window.opened(browser, product.url, "alice", viewport={"width": 1100, "height": 760}) as window:
        window.complaints.clear()
        yield window
        assert window.complaints == []


def give(page: Page, kind: str, *given: tuple[str, str, bytes]) -> None:
    """Drops files onto the thread, or pastes them into the composer."""
    encoded = [[name, type_, base64.b64encode(content).decode()] for name, type_, content in given]
    page.evaluate(_GIVE, ["#composer-text" if kind == "paste" else "[data-thread]", kind, encoded])


def pick(page: Page, *given: tuple[str, str, bytes]) -> None:
    chosen = [{"name": name, "mimeType": type_, "buffer": content} for name, type_, content in given]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(chosen)  # type: ignore[arg-type]


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def waiting(page: Page) -> list[str]:
    return page.locator(".file .file-name").all_inner_texts()


def test_files_come_by_every_way_are_remembered_and_sent(alice: Window, api: Person) -> None:
    page = alice.page
    alice.open(f"/s/{api.new_session(tagged('words-n40'))}/")
    pick(
        page, ("sunset.png", "image/png", files.png(900, 600, "orange")), ("notes.txt", "text/plain", b"Mind the gap")
    )
    give(
        page,
        "drop",
        ("report with a rather long name that does not fit.pdf", "application/pdf", files.pdf("Revenue")),
    )
    give(page, "paste", ("image.png", "image/png", files.png(60, 60, "blue")))
    expect(page.locator(".file")).to_have_count(4)
    expect(page.locator(".file progress:visible")).to_have_count(0)
    expect(page.locator("[data-files-said]")).to_have_text(re.compile("is attached"))
    page.get_by_label("Message", exact=True).fill("What do you make of these?")
    picture(page, "composer")

    page.reload()
    expect(page.locator(".file")).to_have_count(4)
    page.get_by_role("button", name="Remove notes.txt").click()
    expect(page.locator(".file")).to_have_count(3)
    page.get_by_role("button", name="Send").click()

    question = page.locator(".message.is-question")
    expect(question.locator(".attachment")).to_have_count(3)
    shown = question.locator(".attachment img").first
    expect(shown).to_have_attribute("alt", "sunset.png")
    expect(shown).to_have_js_property("naturalWidth", 900)
    expect(page.locator(".file")).to_have_count(0)
    with page.expect_download() as download:
        question.get_by_text("report with").click()
    assert download.value.suggested_filename.endswith("does not fit.pdf")
    expect(page.locator(".message.is-answer .message-status")).to_be_hidden()
    picture(page, "message")
    page.set_viewport_size({"width": 360, "height": 740})
    pick(
        page,
        ("again.png", "image/png", files.png(300, 900, "green")),
        ("long list of numbers.csv", "text/csv", b"1,2"),
    )
    expect(page.locator(".file progress:visible")).to_have_count(0)
    picture(page, "narrow")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    picture(page, "narrow-dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_withdrawn_message_comes_back_to_the_composer_with_its_files(
    alice: Window, api: Person, provider: ProviderProcess
) -> None:
    page, model = alice.page, tagged("words-n9-hold=4")
    session = api.new_session(model)
    api.asked(session, "First")
    alice.open(f"/s/{session}/")
    alice.expect_answer(expected_text("words-n4"))
    pick(page, ("notes.txt", "text/plain", b"Mind the gap"))
    expect(page.locator(".file .file-detail")).to_have_text("12 bytes")
    alice.ask("What is in these?")
    expect(page.locator(".queued")).to_contain_text("notes.txt")
    page.get_by_role("button", name="Withdraw this waiting message").click()
    expect(page.locator(".queued")).to_have_count(0)
    expect(alice.composer).to_have_value("What is in these?")
    expect(page.locator(".file .file-name")).to_have_text(["notes.txt"])

    provider.release(model)
    alice.expect_answer(expected_text("words-n9"))
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".message.is-question").nth(1).locator(".attachment")).to_contain_text("notes.txt")


def test_what_cannot_be_taken_says_why_and_blocks_nothing_else(alice: Window, api: Person) -> None:
    page = alice.page
    alice.open(f"/s/{api.new_session(tagged('words'))}/")
    pick(page, ("big.bin", "text/plain", b"x" * 1_200_000))
    expect(page.locator(".notice")).to_have_text(re.compile("“big.bin” has 1.1 MB; a file may have 1.0 MB"))
    pick(page, ("virus.png", "image/png", b"MZ\x90\x00\x03"))
    expect(page.locator(".file.is-failed .file-detail")).to_have_text(re.compile("none of the kinds"))
    page.get_by_label("Message", exact=True).fill("Hello")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    picture(page, "failed")
    expect(page.get_by_role("button", name="Upload virus.png again")).to_be_hidden()  # it would be refused again
    page.get_by_role("button", name="Remove virus.png").click()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    alice.complaints.clear()  # the browser notes each refusal


def test_an_upload_that_failed_is_tried_again(alice: Window, api: Person) -> None:
    page = alice.page
    alice.open(f"/s/{api.new_session(tagged('words'))}/")
    failing = True

    def answer(route: Route) -> None:
        route.abort() if failing else route.continue_()

    page.route("**/attachments", answer)
    pick(page, ("a.txt", "text/plain", b"Words"))
    expect(page.locator(".file.is-failed .file-detail")).to_have_text(re.compile("can’t be reached"))
    failing = False
    page.get_by_role("button", name="Upload a.txt again").click()
    expect(page.locator(".file .file-detail")).to_have_text("5 bytes")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".message.is-question .attachment")).to_have_count(1)
    alice.complaints.clear()


def test_a_first_message_may_be_only_a_file(alice: Window) -> None:
    page = alice.page
    alice.open("/new/")
    pick(page, ("plan.txt", "text/plain", b"The plan"))
    expect(page.locator(".file .file-detail")).to_have_text("8 bytes")
    page.get_by_role("button", name="Send").click()
    expect(page).to_have_url(re.compile("/s/[0-9a-f-]{36}/$"))
    expect(page.locator(".message.is-question .attachment-name")).to_have_text("plan.txt")
    expect(page.locator("h1.session-title")).to_have_text("plan.txt")


def test_on_a_phone_a_notice_does_not_cover_the_files(alice: Window, api: Person) -> None:
    alice.page.set_viewport_size({"width": 390, "height": 700})
    page = alice.open(f"/s/{api.new_session()}/")
    expect(page.locator("[data-connection]")).to_be_hidden()
    kept = [(f"{number}.txt", "text/plain", b"words") for number in range(3)]
    pick(page, *kept, ("empty.txt", "text/plain", b""))
    notice, listed = page.locator(".notice"), page.get_by_role("list", name="Files to send")
    expect(notice).to_have_text("There is nothing in “empty.txt”.")
    expect(listed.get_by_role("listitem")).to_have_count(3)
    box, files_box = notice.bounding_box(), listed.bounding_box()
    assert box and files_box and box["y"] + box["height"] <= files_box["y"]
