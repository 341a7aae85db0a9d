"""Tool calls on the page: what runs, what was given and found, and Allow or Deny; and which tools a session may use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.provider import ProviderProcess

from .people import Person, tagged
from .running import Product, running
from .windows import Window, chromium, executable

pytestmark = pytest.mark.skipif(executable() is None, reason="There is no browser.")

LOOKS = os.environ.get("LOOKS_FOLDER")  # where pictures for people to look at are put


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counts") / "counts"


@pytest.fixture(scope="module")
def product(provider: ProviderProcess, counts: Path) -> Iterator[Product]:
    modules = "assistant.tools.clock,assistant.tools.calculator,assistant.tools.recall,assistant.tools.web"
    tools = {
        "ASSISTANT_TOOLS": f"{modules},tests.e2e.counting_tools",
        "ASSISTANT_SERVICES": "clock,calculator,counting",
        "ASSISTANT_MCP": str(counts.with_name("mcp.json")),
    }
    depot = {"command": sys.executable, "args": ["-m", "tests.mcp_server"], "title": "Depot", "approval": "never"}
    slow = depot | {"title": "Slow", "env": {"DEPOT_OPENS": str(counts.with_name("opens"))}}
    counts.with_name("mcp.json").write_text(json.dumps({"mcpServers": {"depot": depot, "slow": slow}}))
    with running(provider, COUNT_FILE=str(counts), **tools) as process:
        yield process


@pytest.fixture(scope="module")
def alice(product: Product) -> Iterator[Person]:
    (person,) = product.people("alice")
    with person:
        yield person


@pytest.fixture(scope="module")
def window(product: Product, alice: Person) -> Iterator[Window]:
    with chromium() as browser, Window.opened(browser, product.url, "alice") as opened:
        yield opened


def look(page: Page, name: str) -> None:
    if LOOKS:
        page.screenshot(path=f"{LOOKS}/{name}.png")


def asking(provider: ProviderProcess) -> str:
    """Four calls, then one that needs leave, then an answer."""
    name = tagged("x").rpartition("=")[2]
    first = [
        {"name": "current_time", "arguments": {"time_zone": "Asia/Tokyo"}},
        {"name": "calculate", "arguments": {"expression": "(3 + 4)^12 / 7"}},
        {"name": "calculate", "arguments": '{"expr'},
        {"name": "look", "arguments": {"what": "the garden"}},
    ]
    wipe = [{"name": "wipe", "arguments": {"what": "All drafts older than a year"}}]
    return provider.script(
        f"page-{name}",
        [
            {"text": "Let me see what time it is there.", "preamble": 99, "tools": first},
            {"text": "It is late. Shall I clear the old drafts?", "preamble": 99, "tools": wipe},
            {"text": "Done. **The drafts are gone**:\n\n- go to bed\n- sleep"},
        ],
    )


def test_tools_are_shown_where_they_stand_and_leave_is_asked_for(
    provider: ProviderProcess, alice: Person, window: Window, counts: Path
) -> None:
    session = alice.new_session(asking(provider))
    alice.asked(session, "What time is it in Tokyo?")
    page = window.open(f"/s/{session}/")
    answer = page.locator(".message.is-answer").last
    calls = answer.locator(".tool-call")
    expect(calls).to_have_count(4)
    expect(calls.nth(3)).to_have_attribute("data-status", "running")
    expect(answer.locator("[data-part=status-text]")).to_contain_text("Looking")
    look(page, "1-running")
    counts.with_name("counts.look").touch()

    asked = answer.locator(".tool-call[data-status=asks]")
    expect(asked).to_contain_text("wants to do this: Wipe")
    expect(asked).to_contain_text("what: All drafts older than a year")
    expect(answer.locator("[data-part=status-text]")).to_contain_text("Waiting for somebody to allow: Wipe")
    expect(page.locator("[data-announcer]")).to_contain_text("asks for leave: Wipe")
    look(page, "2-asks")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    expect(asked.get_by_role("button", name="Allow")).to_be_in_viewport()
    page.wait_for_timeout(500 if LOOKS else 0)  # the sidebar slides out of the picture
    look(page, "3-asks-dark-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1200, "height": 900})

    asked.get_by_role("button", name="Allow").click()
    expect(answer).to_contain_text("go to bed")
    expect(calls.nth(4)).to_contain_text("allowed by alice")
    calls.nth(1).locator("summary").first.click()
    expect(calls.nth(1)).to_contain_text("expression: (3 + 4)^12 / 7")
    expect(calls.nth(1)).to_contain_text("= 1977326743")
    expect(calls.nth(2)).to_contain_text("failed")
    look(page, "4-done")

    def order() -> list[str]:
        found: list[str] = answer.locator("[data-part=body] > *").evaluate_all(
            "all => all.map((one) => one.className)"
        )
        return found

    live = order()
    assert live == ["block", "tool-round", "block", "tool-round", "block", "block"], live
    page.reload()
    expect(calls).to_have_count(5)
    assert order() == live
    assert window.complaints == []


def test_what_is_asked_for_is_changed_or_denied_with_a_reason(
    provider: ProviderProcess, alice: Person, window: Window
) -> None:
    name = tagged("x").rpartition("=")[2]
    wipe = lambda what: [{"name": "wipe", "arguments": {"what": what}}]  # noqa: E731
    steps = [
        {"text": "Shall I?", "preamble": 99, "tools": wipe("All drafts")},
        {"text": "And this?", "preamble": 99, "tools": wipe("The archive")},
        {"text": "As you say."},
    ]
    session = alice.new_session(provider.script(f"changed-{name}", steps))
    alice.asked(session, "Clean up")
    page = window.open(f"/s/{session}/")
    calls = page.locator(".message.is-answer").last.locator(".tool-call")
    asked = calls.nth(0)
    asked.get_by_text("Change it, or say why not").click()
    instead = asked.get_by_label("Allow it with this instead")
    expect(instead).to_have_value('{\n  "what": "All drafts"\n}')
    look(page, "5-changing")
    instead.fill('{"what": ')
    asked.get_by_role("button", name="Allow").click()
    expect(page.locator(".notices")).to_contain_text("must be a JSON object")
    expect(instead).to_have_value('{"what": ')
    instead.fill('{"what": "Only mine"}')
    asked.get_by_role("button", name="Allow").click()
    expect(asked).to_contain_text("changed · allowed by alice")
    expect(asked).to_contain_text("what: Only mine")
    denied = calls.nth(1)
    denied.get_by_text("Change it, or say why not").click()
    denied.get_by_label("Why it is denied").fill("It is still needed")
    denied.get_by_role("button", name="Deny").click()
    expect(denied).to_contain_text("It is still needed · denied by alice")
    expect(page.locator(".message.is-answer").last).to_contain_text("As you say.")
    (refusal,) = window.complaints
    assert "422" in refusal
    window.complaints.clear()  # the window is the next test's too


def test_a_form_that_a_tool_puts_before_people(provider: ProviderProcess, alice: Person, window: Window) -> None:
    name = tagged("x").rpartition("=")[2]
    tools = [{"name": "book", "arguments": {"train": "ICE 7"}}]
    model = provider.script(
        f"form-{name}", [{"text": "I book it.", "preamble": 99, "tools": tools}, {"text": "Booked."}]
    )
    session = alice.new_session(model)
    page = window.open(f"/s/{session}/")
    alice.asked(session, "Two seats, please")
    answer = page.locator(".message.is-answer").last
    form = answer.locator(".tool-form")
    expect(form).to_contain_text("Where would you like to sit in ICE 7?")
    expect(answer.locator("[data-part=status-text]")).to_contain_text("Waiting for somebody to answer: Book a seat")
    expect(page.locator("[data-announcer]")).to_contain_text("Book a seat asks")
    expect(form.get_by_label("Seats")).to_have_value("2")
    form.get_by_role("button", name="Send").click()
    expect(form, "the class is needed").to_be_visible()
    form.get_by_label("Seats").fill("3")
    form.get_by_label("Class").select_option("Second")
    form.get_by_label("a dog").check()
    form.get_by_label("At the window").check()
    look(page, "6-form")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(500 if LOOKS else 0)
    look(page, "7-form-dark-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1200, "height": 900})
    expect(form.get_by_label("Seats"), "what was typed is still there").to_have_value("3")
    form.get_by_role("button", name="Send").click()

    link = form.get_by_role("link", name="Open pay.example in a new tab")
    expect(link).to_have_attribute("href", "https://pay.example/7?of=alice")
    look(page, "8-link")
    form.get_by_role("button", name="Decline").press("Enter")  # which is no Enter in a field of the form
    expect(answer).to_contain_text("Booked.")
    call = answer.locator(".tool-call")
    expect(call).to_contain_text("declined by alice")
    call.locator("summary").first.click()
    expect(call).to_contain_text("{'seats': 3, 'class': '2', 'extras': ['dog'], 'window': True}, paid: decline.")
    look(page, "9-answered")
    assert window.complaints == []


def test_a_server_s_images_and_what_it_has_to_read(
    product: Product, provider: ProviderProcess, alice: Person, window: Window
) -> None:
    session = alice.new_session(tagged("words-tool=depot__look:color:teal"))
    alice.http.patch(f"/api/sessions/{session}", json={"services": ["depot", "slow"]})
    for _ in range(20):  # until the worker that answers has the server; each has its own
        ended = alice.wait_for_end(alice.asked(session, "What does it look like?"))
        if ended["tool_calls"][0]["images"]:
            break
    page = window.open(f"/s/{session}/")
    answer = page.locator(".message.is-answer").last
    expect(answer.locator("[data-part=missing]")).to_have_text(
        "Without the tools of Slow: it was still starting. Ask again in a moment to have them."
    )
    image = answer.locator(".tool-call .attachment img")
    expect(image).to_be_visible()
    assert image.evaluate("async (image) => (await image.decode(), image.naturalWidth)") == 40
    look(page, "10-missing-and-image")

    # The web server has connections of its own, and may still be starting this one.
    product.wait_for(lambda: alice.http.get(f"/api/sessions/{session}/resources").json().get("resources"))
    page.get_by_role("button", name="Attach from a server").click()
    sheet = page.locator("#resources-sheet")
    expect(sheet).to_contain_text("Without Slow: it was still starting.")
    look(page, "11-resources")
    sheet.get_by_role("button", name="The list").click()
    expect(sheet).to_be_hidden()
    expect(page.locator("[data-files]")).to_contain_text("The list")
    page.get_by_role("textbox", name="Message").fill("What is there?")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".message.is-question").last.locator(".attachment")).to_contain_text("The list")
    assert window.complaints == []


def test_the_settings_say_which_tools_may_be_used(alice: Person, window: Window) -> None:
    session = alice.new_session("openai/words")
    page = window.open(f"/s/{session}/")
    page.get_by_role("button", name="Settings of this session").click()
    sheet = page.locator("#settings-sheet")
    expect(sheet.get_by_label("Calculator")).to_be_checked()
    expect(sheet.get_by_label("Memory")).not_to_be_checked()
    sheet.get_by_label("Calculator").uncheck()
    sheet.get_by_label("Memory").check()
    look(page, "5-settings")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet).to_be_hidden()
    services = alice.http.get(f"/api/sessions/{session}").json()["services"]
    assert sorted(services) == ["clock", "counting", "recall"]
    assert window.complaints == []
