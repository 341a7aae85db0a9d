"""`python -m tests.moving_picture [FILE]`: the README's moving picture, filmed from the running product.

Two people in two browsers, a question, an answer that is being written, a message that waits, and a worker that is really
killed in the middle. Nothing is drawn but the line below; times are as they were.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import expect

os.environ.setdefault("ASSISTANT_DATA_DIR", tempfile.mkdtemp(prefix="parley-"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from tests.e2e.running import running  # noqa: E402
from tests.e2e.windows import Window, chromium  # noqa: E402
from tests.provider import ProviderProcess  # noqa: E402
from tests.screenshots import FULL_NAMES  # noqa: E402

FILE = Path(__file__).parents[1] / "docs" / "images" / "moving.png"
DESK: dict[str, Any] = {"viewport": {"width": 700, "height": 520}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 340, "height": 520}, "color_scheme": "dark", "is_mobile": True}
GAP, LINE = 10, 44  # pixels between the windows, and of the line below them
COLORS = 96
LAST_SECONDS = 5.0
RATE = 22  # tokens a second

QUESTION = "We deploy twice a day. What happens to an answer that is being written just then?"
ANSWER = """Nothing that you would have to do something about.

A worker's claim on an answer is a **lease**: it holds only while its owner keeps renewing it. When the worker is gone,
whoever notices first puts the answer back into the queue, and *another worker* writes it.

1. Everyone here sees that it was interrupted, and reads on.
2. No text is shown twice, no tool is run twice.
3. What waits behind it keeps its turn."""
SECOND_QUESTION = "And my message, which waits for it?"
SECOND_ANSWER = "You are reading the answer to it. It stood in the same database, and **nobody had to ask again**."


class Film:
    """Shots of all windows side by side, each with the time at which it was taken and the line of that moment."""

    def __init__(self, *windows: Window) -> None:
        self.line = ""
        self._windows = windows
        self._shots: list[tuple[float, Image.Image]] = []

    def shoot(self) -> None:
        taken = time.monotonic()
        views = [Image.open(io.BytesIO(window.page.screenshot())).convert("RGB") for window in self._windows]
        width = sum(view.width for view in views) + GAP * (len(views) - 1)
        shot = Image.new("RGB", (width, views[0].height + LINE), "#20312c")
        left = 0
        for view in views:
            shot.paste(view, (left, 0))
            left += view.width + GAP
        draw = ImageDraw.Draw(shot)
        draw.text((width / 2, views[0].height + LINE / 2), self.line, "white", ImageFont.load_default(19), "mm")
        self._shots.append((taken, shot))

    def roll(self, until: Callable[[], Any], seconds: float = 60.0) -> None:
        """Shoots until the condition holds. Raises AssertionError if it does not come about."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, self.line
            self.shoot()

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.roll(lambda: time.monotonic() >= end)

    def develop(self, file: Path) -> None:
        """Writes an APNG, in the colours that the shots have together."""
        times, shots = zip(*self._shots, strict=True)
        some = shots[:: max(1, len(shots) // 8)]
        sheet = Image.new("RGB", (shots[0].width, shots[0].height * len(some)))
        for index, shot in enumerate(some):
            sheet.paste(shot, (0, index * shot.height))
        palette = sheet.quantize(COLORS, Image.Quantize.MEDIANCUT)
        frames = [shot.quantize(palette=palette, dither=Image.Dither.NONE) for shot in shots]
        lengths = [round((after - before) * 1000) for before, after in itertools.pairwise(times)]
        frames[0].save(
            file,
            save_all=True,
            append_images=frames[1:],
            duration=[*lengths, round(LAST_SECONDS * 1000)],
            loop=0,
            optimize=True,
        )


def write(film: Film, window: Window, text: str) -> None:
    """As somebody writes and sends."""
    words = text.split(" ")
    for count in range(3, len(words) + 3, 3):
        window.composer.fill(" ".join(words[:count]))
        film.shoot()
    window.page.get_by_role("button", name="Send", exact=True).click()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.moving_picture", description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    file = parser.parse_args().file
    with (
        ProviderProcess() as provider,
        running(provider, ASSISTANT_MODELS="Sonnet=openai/sonnet-4.5") as product,
        chromium() as browser,
    ):
        alice, bob = product.people("alice", "bob")
        product.manage("shell", "--no-imports", "-c", FULL_NAMES)
        first = {"text": ANSWER, "rate": RATE}
        provider.script("sonnet-4.5", [first, first, {"text": SECOND_ANSWER, "rate": RATE}])
        session = alice.new_session()
        alice.http.patch(f"/api/sessions/{session}", json={"title": "Deploys and answers"})
        alice.invite(session, bob)
        with (
            Window.opened(browser, product.url, "alice", reduced_motion="reduce", **DESK) as hers,
            Window.opened(browser, product.url, "bob", reduced_motion="reduce", **PHONE) as his,
        ):
            for window in (hers, his):
                window.open(f"/s/{session}/")
                expect(window.composer).to_be_visible()
            film = Film(hers, his)
            film.line = "Alice asks. Bob, on his phone, sees the same words at the same moment."
            film.rest(0.8)
            write(film, hers, QUESTION)
            film.roll(lambda: len(said(his)) > 60)
            film.line = "Bob goes on writing: his message waits for its turn."
            write(film, his, SECOND_QUESTION)
            film.roll(lambda: len(said(his)) > 180)
            film.line = "Now kill -9 hits the worker that writes the answer …"
            film.rest(1.2)
            [answer] = [message for message in alice.messages(session) if message["role"] == "assistant"]
            worker = product.worker_of(answer["id"])
            assert worker is not None
            worker.kill()
            film.roll(lambda: alice.message(answer["id"])["attempt"] == 2)
            film.rest(0.7)
            film.line = "… and another one writes it again, at once. Nobody had to do anything."
            film.roll(lambda: alice.message(answer["id"])["status"] == "success")
            film.line = "Bob’s message, which waited, is answered next."
            film.roll(lambda: "ask again" in said(his))
            film.rest(1)
            film.develop(file)
        for person in (alice, bob):
            person.http.close()
    print(f"{file}: {file.stat().st_size / 1000:.0f} KB")


def said(window: Window) -> str:
    """The newest answer, as far as it is shown."""
    bodies = window.page.locator(".message.is-answer [data-part=body]")
    return bodies.last.inner_text() if bodies.count() else ""


if __name__ == "__main__":
    main()
