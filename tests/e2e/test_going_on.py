"""An answer that ends at its session's own limit says so on the page, and can be asked to go on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.provider import ProviderProcess

from .people import Person, tagged
from .running import Product
from .test_session_settings import change
from .windows import Window

pytestmark = pytest.mark.browser


def test_an_answer_that_ends_at_its_sessions_limit_is_asked_to_go_on(
    product: Product, alice: Person, provider: ProviderProcess, browser: Browser
) -> None:
    session = alice.new_session(tagged("words-n5-finish=length-usage=70,99"))
    change(alice, session, parameters={"max_tokens": 99}, replies="mention")
    with Window.opened(browser, product.url, "alice") as window:
        window.open(f"/s/{session}/")
        window.ask("@assistant How long is it?")
        note = window.page.locator(".message.is-answer [data-part=note]")
        expect(note).to_have_text("It ends at the longest answer that this session’s settings allow: 99 tokens.")
        expect(note).not_to_have_class(re.compile("is-error"))
        window.page.get_by_role("button", name="Go on").click()
        expect(window.answer(1)).to_have_text("w0 w1 w2 w3 w4")
        expect(window.page.locator(".message.is-question").nth(1)).to_contain_text("@assistant Go on.")
        expect(window.page.get_by_role("button", name="Go on")).to_have_count(1)
        assert window.complaints == []
    roles = [line["role"] for line in provider.requests()[-1]["body"]["messages"] if line["role"] != "system"]
    assert roles == ["user", "assistant", "user"]
