"""A real browser, and the windows of the people who use it."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    WebSocketRoute,
    expect,
    sync_playwright,
)

WAIT_MS = 30_000
ARGUMENTS = [
    "--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

# What the Content-Security-Policy refused is told to the console too, but not by every kind of violation.
_NOTE_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


def executable() -> str | None:
    """Chromium, best without the window that it draws around the page also where nobody sees it."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A started browser; `executable()` says whether there is one."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


_rested: dict[tuple[Browser, str, str, str], BrowserContext] = {}  # contexts that a person's next window takes
_cookies: dict[tuple[str, str], list[Any]] = {}  # of who has signed in: by the product's URL and the name


class Window:
    """A page of one person, and everything that its console complained about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.is_spoilt = False  # set it where something was done to the context that can't be undone
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.add_init_script(_NOTE_VIOLATIONS)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @classmethod
    @contextlib.contextmanager
    def opened(cls, browser: Browser, url: str, name: str = "", **options: Any) -> Iterator[Window]:
        """A window of its own cookies and storage, signed in as `name` (whose password is the tests' one).

        What a person's window had loaded is kept for their next one: a browser that has never seen the product starts a
        process, fetches and compiles everything, and that is half of what such a test costs.
        """
        key = (browser, url, name, repr(options))
        context = _rested.pop(key, None) or browser.new_context(**options)
        window = cls(context, url)
        if name:
            window.come_in(name)
        yield window
        if name and window.is_clean():
            _rested[key] = context
        else:
            context.close()

    def is_clean(self) -> bool:
        """Leaves the context as if nobody had used it, but for its cookies and what it has loaded, if that can be done."""
        if self.is_spoilt:
            return False
        self.context.set_offline(False)
        self.context.clear_permissions()
        for page in self.context.pages[1:]:
            page.close()
        try:
            self.page.unroute_all(behavior="ignoreErrors")
            self.open("/healthz")  # a page of the product, for the storage is its, but without scripts
            self.page.evaluate("localStorage.clear()")
            self.page.close()
        except Error:  # the page, or the product, is gone
            return False
        return True

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} {message.location.get('url', '')}".rstrip())

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def come_in(self, name: str) -> None:
        """Signed in, at the page where one arrives. Each signs in once for a product: to check a password takes long."""
        self.context.add_cookies(_cookies.get((self.url, name), []))
        self.open("/")
        if urlsplit(self.page.url).path == "/login/":  # the first time, or what was kept holds no longer
            self.sign_in(name)
            _cookies[self.url, name] = self.context.cookies()
        expect(self.page.get_by_label("Message", exact=True)).to_be_visible()

    def sign_in(self, name: str) -> None:
        self.open("/login/")
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Password", exact=True).fill("correct horse")
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_label("Message", exact=True)).to_be_visible()

    def make_account(self, name: str, button: str) -> None:
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_label("Password", exact=True).fill("correct horse")
        self.page.get_by_label("Password again").fill("correct horse")
        self.page.get_by_role("button", name=button).click()

    @property
    def composer(self):
        return self.page.get_by_label("Message", exact=True)

    def ask(self, text: str) -> None:
        self.composer.fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()

    def answer(self, index: int = -1):
        """The text of an answer, counted among those on the page."""
        return self.page.locator(".message.is-answer [data-part=body]").nth(index)

    def expect_answer(self, text: str, index: int = -1) -> None:
        expect(self.answer(index)).to_have_text(text)

    @property
    def note(self):
        return self.page.locator(".message.is-answer [data-part=note]").last


class Frames:
    """What the server tells a page over sockets, which it opens after this: kept from it between `hold` and `release`."""

    def __init__(self, page: Page) -> None:
        self._kept: list[tuple[WebSocketRoute, str | bytes]] = []
        self._is_held = False
        page.route_web_socket(re.compile("/ws/"), self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda frame: self._kept.append((socket, frame)) if self._is_held else socket.send(frame))

    def hold(self) -> None:
        self._is_held = True

    def release(self) -> None:
        self._is_held = False
        for socket, frame in self._kept:
            socket.send(frame)
        self._kept.clear()
