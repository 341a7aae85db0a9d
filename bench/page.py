"""`python -m bench.page`: the page in a real browser while long answers stream into it, and in long sessions."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from bench import section
from bench.figures import percentile
from bench.texts import long_texts
from tests.e2e.people import Person
from tests.e2e.running import Product, running
from tests.e2e.windows import Window, chromium
from tests.provider import ProviderProcess

PROBE = (Path(__file__).parent / "page.js").read_text()
PIECE_CHARACTERS = 40
SIZE = {"width": 1280, "height": 800}

_FILL = """
from assistant import wire
from assistant.models import ChatSession, Message
from django.utils import timezone
session = ChatSession.objects.get(pk={session!r})
user = session.participants.get().user
text = "An answer with **bold** words, `code` and a list:\\n\\n- one\\n- two\\n\\n```python\\nx = 1\\n```\\n\\nNumber %d."
first, now = session.messages.count(), timezone.now()
rows = []
for n in range(first, {count} // 2):
    asked = Message(session=session, position=2 * n, role="user", author=user, client_id=f"fill-{{n}}",
                    content=f"Question {{n}}", status="success", finished_at=now)
    content = text % n
    reply = Message(session=session, position=2 * n + 1, role="assistant", reply_to=asked, content=content, attempt=1,
                    html=wire.rendered(content), status="success", finished_at=now, model="openai/words")
    rows += [asked, reply]
Message.objects.bulk_create(rows, batch_size=500)
if hasattr(session, "next_position"):
    session.next_position = {count} + 2
    session.save(update_fields=["next_position"])
print("filled")
"""


@dataclass(slots=True)
class Seen:
    """What the page's main thread went through while it was watched."""

    frames: list[float]  # ms between animation frames
    long_tasks: list[float]  # ms; those of 50 and more
    busy: float  # share of the time in which the main thread worked
    layout: float
    outside: int  # changes of blocks that should have been left alone

    def cells(self) -> list[str]:
        late = [task for task in self.long_tasks if task >= 50]
        return [
            f"{percentile(self.frames, 0.5):.1f}",
            f"{percentile(self.frames, 0.95):.1f}",
            f"{percentile(self.frames, 0.99):.1f}",
            f"{max(self.frames, default=0):.0f}",
            str(len(late)),
            f"{self.busy:.0%}",
            f"{self.layout:.0%}",
        ]


HEAD = ["frame p50", "p95", "p99", "max", "long tasks", "main thread busy", "of it layout"]


class Watch:
    """Between `with` and its end the page is watched; `seen` then says what was seen."""

    seen: Seen

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cdp: CDPSession = page.context.new_cdp_session(page)
        self.cdp.send("Performance.enable")

    def __enter__(self) -> Watch:
        self.page.evaluate("Object.assign(__seen, { frames: [], longTasks: [], outside: 0, changes: 0, isOn: true })")
        self._before = self._metrics()
        return self

    def __exit__(self, *exception: Any) -> None:
        found = self.page.evaluate("(__seen.isOn = false, __seen)")
        now = self._metrics()
        took = {name: now[name] - self._before[name] for name in now}
        seconds = max(took["Timestamp"], 0.001)
        self.seen = Seen(
            found["frames"],
            found["longTasks"],
            took["TaskDuration"] / seconds,
            took["LayoutDuration"] / seconds,
            found["outside"],
        )

    def _metrics(self) -> dict[str, float]:
        wanted = ("Timestamp", "TaskDuration", "LayoutDuration")
        found = self.cdp.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in found if metric["name"] in wanted}


def until(page: Page, expression: str, seconds: float = 60.0) -> None:
    """Waits for it to be true. (Playwright's own waiting evaluates text in the page, which the policy forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise TimeoutError(expression)
        time.sleep(0.02)


def stream(window: Window, alice: Person, model: str, session: str) -> Seen:
    """Asks in the open session and watches until the answer has ended."""
    page = window.page
    with Watch(page) as watch:
        answer = alice.asked(session, "Go on", model)
        alice.wait_for_end(answer, 200)
        until(page, "!document.querySelector('.message[aria-busy]')")
    return watch.seen


def open_session(browser: Browser, product: Product, state: Path, session: str) -> tuple[float, float]:
    """Milliseconds to the first paint and to the first messages, without a cache."""
    with Window.opened(browser, product.url, storage_state=state, viewport=SIZE) as window:
        window.page.add_init_script(PROBE)
        window.open(f"/s/{session}/")
        until(window.page, "__seen.firstMessageAt")
        painted = window.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        return painted, window.page.evaluate("__seen.firstMessageAt")


def load_older(window: Window, count: int) -> tuple[Seen, float, float]:
    """Scrolls up until `count` messages are there; also by how many px what was in view moved, and the seconds it took."""
    page = window.page
    moved = 0.0
    began = time.monotonic()
    with Watch(page) as watch:
        while page.evaluate("document.querySelectorAll('.message').length") < count:
            page.evaluate(_MARK)
            until(page, f"document.querySelectorAll('.message').length > {page.evaluate('__marked.count')}")
            page.wait_for_timeout(120)
            moved = max(moved, abs(page.evaluate("__marked.element.getBoundingClientRect().top - __marked.top")))
    return watch.seen, moved, time.monotonic() - began


_MARK = """new Promise((done) => {
  const box = document.querySelector("[data-thread]");
  const count = document.querySelectorAll(".message").length;
  box.scrollTop = 300;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const edge = box.getBoundingClientRect().top;
    const all = [...document.querySelectorAll(".message")];
    const element = all.find((each) => each.getBoundingClientRect().bottom > edge + 50);
    window.__marked = { element, top: element.getBoundingClientRect().top, count };
    done();
  }));
})"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description="The page in a real browser.")
    parser.add_argument("--kilobytes", type=int, default=200, help="of each long answer (200)")
    parser.add_argument(
        "--rate", type=float, default=250, help=f"pieces of {PIECE_CHARACTERS} characters a second (250)"
    )
    parser.add_argument("--messages", type=int, default=5000, help="in the long session (5000)")
    parser.add_argument("--older", type=int, default=2000, help="of them loaded by scrolling up (2000)")
    parser.add_argument("--out", type=Path, help="a document with the markers, e.g. docs/performance.md")
    given = parser.parse_args()
    began, load_average = time.monotonic(), os.getloadavg()[0]

    def say(line: object) -> None:
        print(line, file=sys.stderr, flush=True)

    with ProviderProcess() as provider, running(provider) as product, chromium() as browser:
        (alice,) = product.people("alice")
        state = product.data_dir / "alice.json"
        with Window.opened(browser, product.url, "alice") as window:
            window.context.storage_state(path=state)
        rows = []
        for kind, text in long_texts(given.kilobytes * 1000).items():
            model = provider.script(
                kind.replace(" ", "."), [{"text": text, "pieces": PIECE_CHARACTERS, "rate": given.rate}]
            )
            session = alice.new_session(model)
            with Window.opened(browser, product.url, storage_state=state, viewport=SIZE) as window:
                window.page.add_init_script(PROBE)
                window.open(f"/s/{session}/")
                window.page.wait_for_selector("[data-welcome]:not([hidden])")
                seen = stream(window, alice, model, session)
            rows.append([kind, *seen.cells(), str(seen.outside)])
            say(rows[-1])
        long = alice.new_session("openai/words")
        say(product.manage("shell", "--no-imports", "-c", _FILL.format(session=long, count=given.messages)))
        opened = [open_session(browser, product, state, long) for _ in range(6)][1:]
        say(opened)
        short = provider.script(
            "short", [{"text": long_texts(20_000)["prose"], "pieces": PIECE_CHARACTERS, "rate": given.rate}]
        )
        with Window.opened(browser, product.url, storage_state=state, viewport=SIZE) as window:
            window.page.add_init_script(PROBE)
            window.open(f"/s/{long}/")
            until(window.page, "__seen.firstMessageAt")
            older, moved, took = load_older(window, given.older)
            rows.append([f"loading {given.older:,} older messages ({took:.0f} s)", *older.cells(), "-"])
            say(rows[-1])
            window.page.evaluate("document.querySelector('[data-thread]').scrollTop = 1e9")
            rows.append(
                [
                    f"20 KB of prose below {given.older:,} messages",
                    *(seen := stream(window, alice, short, long)).cells(),
                    str(seen.outside),
                ]
            )
            say(rows[-1])
        alice.http.close()
    first = sorted(painted for painted, _ in opened)[len(opened) // 2]
    message = sorted(drawn for _, drawn in opened)[len(opened) // 2]
    text = "\n\n".join(
        [
            section.circumstances(time.monotonic() - began, load_average)
            + f" Answers of {given.kilobytes} KB in pieces of {PIECE_CHARACTERS} characters, {given.rate:g} a second; "
            f"headless Chromium, {SIZE['width']} x {SIZE['height']}, drawing in software.",
            section.table(["times in ms", *HEAD, "changes of settled blocks"], rows),
            f"A session of {given.messages:,} messages, opened with an empty cache (median of {len(opened)}): first paint "
            f"after **{first:.0f} ms**, the newest messages after **{message:.0f} ms**. While older messages came in, what "
            f"was being read moved by at most {moved:.1f} px.",
        ]
    )
    if given.out:
        section.write(given.out, "page", text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
