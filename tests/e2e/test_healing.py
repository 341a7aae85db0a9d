"""The page heals itself: off the network, with the server gone or asleep, with a silent model; and it loses no word."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product, running
from .test_recovery import TEXT, interrupted_model
from .windows import Window

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def product(provider: ProviderProcess, browser: Browser) -> Iterator[Product]:
    with running(provider) as process:
        yield process


@pytest.fixture(scope="module")
def api(product: Product) -> Iterator[Person]:
    (person,) = product.people("alice")
    with person:
        yield person


@pytest.fixture
def alice(product: Product, api: Person, browser: Browser) -> Iterator[Window]:
    with Window.opened(browser, product.url, "alice") as window:
        yield window


def opened(window: Window, api: Person, script: str = "words") -> str:
    """A new session, open and connected."""
    session = api.new_session(tagged(script))
    window.open(f"/s/{session}/")
    expect(window.page.get_by_role("heading", name="Nothing said yet")).to_be_visible()
    return session


def unsent(window: Window):
    """The note at a message that was not sent."""
    return window.page.locator(".message.is-question [data-part=note]", has_text="Not sent")


def questions(api: Person, session: str) -> list[str]:
    return [message["content"] for message in api.messages(session) if message["role"] == "user"]


def test_what_is_sent_off_the_network_goes_out_once_when_it_is_back(alice: Window, api: Person) -> None:
    session = opened(alice, api)
    alice.context.set_offline(True)
    expect(alice.page.locator("[data-connection]")).to_contain_text("Offline")
    alice.ask("Sent in a tunnel")
    expect(unsent(alice)).to_be_visible()
    expect(alice.page.get_by_role("button", name="Send again")).to_be_visible()
    alice.context.set_offline(False)
    alice.expect_answer(expected_text("words"))
    expect(alice.page.locator("[data-connection]")).to_be_hidden()
    assert questions(api, session) == ["Sent in a tunnel"]
    expect(alice.page.locator(".message.is-question")).to_have_count(1)


def test_a_message_that_could_not_be_sent_survives_a_reload_and_can_be_edited_or_discarded(
    alice: Window, api: Person
) -> None:
    session = opened(alice, api)
    alice.page.route(
        "**/messages", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    alice.ask("First try")
    expect(unsent(alice)).to_be_visible()
    alice.page.reload()
    expect(unsent(alice)).to_be_visible()
    alice.page.get_by_role("button", name="Edit", exact=True).click()
    expect(alice.composer).to_have_value("First try")
    expect(unsent(alice)).to_be_hidden()
    alice.ask("Second try")
    alice.page.get_by_role("button", name="Discard").click()
    expect(alice.page.get_by_text("Second try")).to_be_hidden()
    alice.ask("Third try")
    expect(unsent(alice)).to_be_visible()
    alice.page.unroute("**/messages")
    alice.page.get_by_role("button", name="Send again").click()
    alice.expect_answer(expected_text("words"))
    assert questions(api, session) == ["Third try"]


def test_a_text_too_long_or_refused_is_kept(alice: Window, api: Person) -> None:
    opened(alice, api)
    alice.page.route(
        "**/messages",
        lambda route: route.fulfill(status=429, json={"code": "rate_limited", "detail": "Slow down a little."}),
    )
    alice.ask("Too fast")
    expect(alice.page.get_by_text("Slow down a little.")).to_be_visible()
    alice.page.unroute("**/messages")
    alice.page.get_by_role("button", name="Send again").click()
    alice.expect_answer(expected_text("words"))


def test_two_tabs_share_the_draft_of_a_session(alice: Window, api: Person) -> None:
    session = opened(alice, api)
    second = alice.context.new_page()
    second.goto(f"{alice.url}/s/{session}/")
    other = second.get_by_label("Message", exact=True)
    other.fill("half a")
    other.press("End")
    other.press_sequentially(" thought")
    second.locator("[data-thread]").focus()
    alice.page.bring_to_front()
    expect(alice.composer).to_have_value("half a thought")
    alice.page.reload()
    expect(alice.composer).to_have_value("half a thought")
    alice.page.get_by_role("button", name="Send", exact=True).click()
    alice.expect_answer(expected_text("words"))
    expect(other).to_have_value("")
    assert questions(api, session) == ["half a thought"]


@pytest.mark.long
def test_a_frozen_line_is_noticed_when_one_comes_back_and_the_text_goes_on(
    alice: Window, api: Person, product: Product, provider: ProviderProcess
) -> None:
    """As after a laptop's sleep: the socket looks open, and nothing comes."""
    script = tagged("words-n20-hold=5")
    session = api.new_session(script)
    alice.open(f"/s/{session}/")
    alice.ask("Before the sleep")
    alice.expect_answer(expected_text("words-n5"))
    web = product.child("assistant.web")
    web.send_signal(signal.SIGSTOP)
    try:
        alice.page.evaluate("dispatchEvent(new Event('focus'))")
        expect(alice.page.locator("[data-connection]")).to_contain_text("Connecting again")
        provider.release(script)
    finally:
        web.send_signal(signal.SIGCONT)
    alice.expect_answer(expected_text("words-n20"))
    expect(alice.page.locator("[data-connection]")).to_be_hidden()


def test_what_is_sent_while_the_server_restarts_arrives_once(alice: Window, api: Person, product: Product) -> None:
    session = opened(alice, api)
    killed = len(product.said)
    product.child("assistant.web").kill()
    alice.ask("Into the void")
    product.wait_for(lambda: any("web server was killed" in line for line in product.said[killed:]))
    alice.expect_answer(expected_text("words"))
    expect(alice.page.locator(".message.is-question")).to_have_count(1)
    assert questions(api, session) == ["Into the void"]


def test_after_long_silence_the_page_offers_retry_and_stop(alice: Window, api: Person) -> None:
    alice.page.clock.install()
    alice.is_spoilt = True  # a clock is the context's, for good
    opened(alice, api, "words-n12-silence=6-fails=1")
    alice.ask("Say nothing for long")
    alice.expect_answer(expected_text("words-n6"))
    silence = alice.page.locator(".message.is-answer [data-part=silence]")
    expect(silence).to_be_hidden()
    alice.page.clock.fast_forward(25_000)
    expect(silence).to_contain_text(re.compile(r"nothing new for \d+ s"))
    expect(silence.get_by_role("button", name="Stop")).to_be_visible()
    silence.get_by_role("button", name="Retry").click()
    alice.expect_answer(expected_text("words-n12"))
    alice.page.get_by_role("button", name="Version before").click()
    alice.expect_answer(expected_text("words-n6"))
    expect(alice.note).to_contain_text("Stopped by alice")


# How few letters of the last answer are ever shown from here on.
WATCH_LETTERS = """() => {
  const body = [...document.querySelectorAll(".message.is-answer [data-part=body]")].at(-1);
  const look = () => { window.leastLetters = Math.min(window.leastLetters, body.textContent.length); };
  window.leastLetters = Infinity;
  new MutationObserver(look).observe(body, { childList: true, subtree: true, characterData: true });
  look();
}"""


def test_an_answer_whose_worker_died_says_so_quietly(
    alice: Window, api: Person, product: Product, provider: ProviderProcess
) -> None:
    """A quiet note, live and after a reload, beside the text going on."""
    session = api.new_session(interrupted_model(provider))
    alice.open(f"/s/{session}/")
    note = alice.page.locator(".message.is-answer [data-part=resumed]").last
    alice.ask("How far will you come?")
    alice.expect_answer(expected_text("words-n30"))
    expect(note).to_be_hidden()
    [answer] = [m["id"] for m in api.messages(session) if m["role"] == "assistant"]
    worker = product.worker_of(answer)
    assert worker
    alice.page.evaluate(WATCH_LETTERS)
    worker.kill()
    expect(note).to_have_text("The answer was interrupted and resumed.")
    alice.expect_answer(expected_text(TEXT))
    least = alice.page.evaluate("window.leastLetters")
    assert least >= len(expected_text("words-n30")), "what was being read stays until the new text has come as far"
    alice.page.reload()
    alice.expect_answer(expected_text(TEXT))
    expect(note).to_be_visible()
    assert api.message(answer)["interruptions"] == 1
    again = api.retry(answer)
    assert api.wait_for_end(again)["interruptions"] == 0
    expect(note).to_be_hidden()
    assert alice.complaints == []
