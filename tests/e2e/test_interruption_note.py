"""What people see of an interruption, beside the text going on: a quiet note, live and after a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.provider import ProviderProcess, expected_text

from .running import running
from .test_recovery import TEXT, interrupted_model
from .windows import Window

pytestmark = pytest.mark.browser

NOTE = "The answer was interrupted and resumed."


def test_an_answer_whose_worker_died_says_so_quietly(provider: ProviderProcess, browser: Browser) -> None:
    with running(provider) as product:
        (alice,) = product.people("alice")
        with alice, Window.opened(browser, product.url, "alice") as window:
            model = interrupted_model(provider)
            session = alice.new_session(model)
            window.open(f"/s/{session}/")
            note = window.page.locator(".message.is-answer [data-part=resumed]").last
            window.ask("How far will you come?")
            window.expect_answer(expected_text("words-n30"))
            expect(note).to_be_hidden()
            [answer] = [m["id"] for m in alice.messages(session) if m["role"] == "assistant"]
            worker = product.worker_of(answer)
            assert worker
            worker.kill()
            expect(note).to_be_visible()
            expect(note).to_have_text(NOTE)
            window.expect_answer(expected_text(TEXT))
            expect(note).to_be_visible()
            window.page.reload()
            window.expect_answer(expected_text(TEXT))
            expect(note).to_be_visible()
            assert alice.message(answer)["interruptions"] == 1
            again = alice.retry(answer)
            assert alice.wait_for_end(again)["interruptions"] == 0
            expect(note).to_be_hidden()
            assert window.complaints == []
