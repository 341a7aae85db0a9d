"""The pages in a real browser: what people see, from the first account to an answer that failed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product, newly_installed
from .windows import Window

pytestmark = pytest.mark.browser

FIRST = "openai/words-n30-hold=10-tag=first"  # the default model: the first question of all is asked of it


@pytest.fixture(scope="module")
def product(provider: ProviderProcess, browser: Browser) -> Iterator[Product]:
    with newly_installed(provider, ASSISTANT_MODELS=f"{FIRST},openai/*") as process:
        yield process


@pytest.fixture(scope="module")
def alice(product: Product, browser: Browser) -> Iterator[Window]:
    """The first account of the installation, made at the set-up page."""
    context = browser.new_context()
    window = Window(context, product.url)
    window.open("/")
    expect(window.page).to_have_url(re.compile("/setup/$"))
    window.make_account("alice", "Make the account")
    expect(window.page.get_by_label("Message", exact=True)).to_be_visible()
    yield window
    context.close()


@pytest.fixture(scope="module")
def api(product: Product, alice: Window) -> Iterator[Person]:
    """Alice's other way in, to make sessions with a model of the test's choice."""
    with Person(product.url, "alice", product.manage("create_token", "alice").split()[-1]) as person:
        yield person


@pytest.fixture(autouse=True)
def nothing_complains(alice: Window) -> Iterator[None]:
    """No error in the console: no exception, no violation of the Content-Security-Policy, no failed request."""
    alice.complaints.clear()
    yield
    assert alice.complaints == []


def test_the_first_question_streams_survives_a_reload_and_is_seen_by_a_guest(
    provider: ProviderProcess, product: Product, alice: Window, api: Person, browser: Browser
) -> None:
    half, whole = expected_text("words-n10"), expected_text("words-n30")
    alice.ask("What is a lease?")
    expect(alice.page).to_have_url(re.compile("/s/[0-9a-f-]{36}/$"))
    alice.expect_answer(half)
    expect(alice.page.locator(".message.is-question [data-part=body]")).to_have_text("What is a lease?")
    alice.page.reload()
    alice.expect_answer(half)

    session = alice.page.url.rstrip("/").rpartition("/")[2]
    invitation = api.http.post(f"/api/sessions/{session}/invitations", json={"role": "editor"}).json()["url"]
    context = browser.new_context()
    bob = Window(context, product.url)
    bob.page.goto(invitation)
    bob.make_account("bob", "Make the account and join")
    expect(bob.page).to_have_url(re.compile(session))
    bob.expect_answer(half)
    provider.release(FIRST)
    for window in (alice, bob):
        window.expect_answer(whole)
        expect(window.page.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
    bob.page.reload()
    bob.expect_answer(whole)
    assert bob.complaints == []
    context.close()


def test_stop_keeps_the_text_and_retry_answers(alice: Window, api: Person) -> None:
    session = api.new_session(tagged("words-n12-silence=6-fails=1"))
    alice.open(f"/s/{session}/")
    alice.ask("Stop me")
    alice.expect_answer(expected_text("words-n6"))
    alice.page.get_by_role("button", name="Stop", exact=True).click()
    expect(alice.note).to_have_text("Stopped by alice.")
    alice.page.reload()
    alice.expect_answer(expected_text("words-n6"))
    expect(alice.note).to_have_text("Stopped by alice.")
    alice.page.get_by_role("button", name="Retry", exact=True).click()
    alice.expect_answer(expected_text("words-n12"))
    expect(alice.note).to_be_hidden()
    alice.page.get_by_role("button", name="Version before").click()
    alice.expect_answer(expected_text("words-n6"))


def test_an_error_is_a_sentence_and_is_still_there_after_a_reload(alice: Window, api: Person) -> None:
    session = api.new_session(tagged("words-cut=4"))
    alice.open(f"/s/{session}/")
    alice.ask("Fail")
    for _ in range(2):
        alice.expect_answer(expected_text("words-n4"))
        expect(alice.note).to_contain_text("The model's provider had a problem. Try again in a moment.")
        alice.page.reload()


def test_a_draft_survives_a_reload(alice: Window, api: Person) -> None:
    alice.open(f"/s/{api.new_session()}/")
    alice.page.get_by_label("Message", exact=True).fill("half a thought")
    alice.page.reload()
    expect(alice.page.get_by_label("Message", exact=True)).to_have_value("half a thought")


def test_markdown_is_drawn_and_no_script_of_a_model_runs(alice: Window, api: Person) -> None:
    session = api.new_session(tagged("markdown"))
    alice.open(f"/s/{session}/")
    dialogs: list[str] = []
    alice.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    alice.ask("Show me everything")
    answer = alice.page.locator(".message.is-answer").last
    expect(answer.get_by_role("heading", name="A heading of the first level")).to_be_visible()
    expect(answer.get_by_role("table")).to_be_visible()
    expect(answer.get_by_role("button", name="Copy the code").first).to_be_attached()
    expect(answer).not_to_have_attribute("aria-busy", "true")
    assert answer.locator("script, img[onerror], a[href^=javascript]").count() == 0
    assert dialogs == []
    said = alice.page.locator("[data-announcer]")
    expect(said).to_contain_text("answered: A heading of the first level")
    expect(said).not_to_contain_text(re.compile(r"[*#|`]"))


def test_a_model_of_a_pattern_is_chosen_by_its_id(alice: Window) -> None:
    name = tagged("words-n4")
    page = alice.open("/new/")
    chosen = page.locator("[data-model]")
    chosen.select_option("openai/*")
    field = page.locator(".session-name").get_by_label("Id of the model")
    expect(field).to_have_value("openai/")
    field.press("Escape")
    expect(chosen).to_have_value(FIRST)
    expect(page.locator(".notices")).not_to_contain_text("No model was named")
    chosen.select_option("openai/*")
    page.locator("#composer-text").click()  # without a name: the one before is asked, and one is told so
    expect(chosen).to_have_value(FIRST)
    expect(page.get_by_text("No model was named after “openai/”")).to_be_visible()
    chosen.select_option("openai/*")
    field.fill(name)
    field.press("Enter")
    expect(chosen).to_have_value(name)
    alice.ask("Who are you?")
    alice.expect_answer(expected_text("words-n4"))
    expect(chosen).to_have_value(name)

    other = tagged("words-n5")
    page.get_by_role("button", name="Settings of this session").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Model", exact=True).select_option("openai/*")
    sheet.get_by_label("Id of the model").fill(other)
    sheet.get_by_role("button", name="Save").click()
    expect(chosen).to_have_value(other)


def test_the_page_goes_on_by_itself_when_the_web_server_is_killed(
    provider: ProviderProcess, product: Product, alice: Window, api: Person
) -> None:
    model = tagged("words-n20-hold=8")
    session = api.new_session(model)
    alice.open(f"/s/{session}/")
    alice.ask("Hold on")
    alice.expect_answer(expected_text("words-n8"))
    web = product.child("assistant.web")
    web.kill()
    product.wait_for(lambda: any("web server was killed" in line for line in product.said))
    provider.release(model)
    alice.expect_answer(expected_text("words-n20"))
    alice.complaints[:] = [
        text for text in alice.complaints if "WebSocket connection" not in text and "ERR_CONNECTION" not in text
    ]
