"""`python -m tests.screenshots [FOLDER] [--only WORDS] [--docs]`: pictures of every page, made from a scripted session.

Each is made as a desktop and a phone see it, in light and dark, on a phone also in a system's forced colours and on a
desktop at twice the size: to be looked at whenever the pages change. `--docs` makes those of docs/tour.md instead, into
docs/images.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from PIL import Image
from playwright.sync_api import expect

# What the states are made of knows the product's models.
os.environ.setdefault("ASSISTANT_DATA_DIR", tempfile.mkdtemp(prefix="parley-"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from tests.e2e.page_states import SIGNED_OUT, STATES, Stage  # noqa: E402
from tests.e2e.people import Person  # noqa: E402
from tests.e2e.running import running  # noqa: E402
from tests.e2e.windows import PHONE, Window, chromium  # noqa: E402
from tests.provider import ProviderProcess  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DESKTOP = {"viewport": {"width": 1200, "height": 760}, "device_scale_factor": 1}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop.light": DESKTOP | {"color_scheme": "light"},
    "desktop.dark": DESKTOP | {"color_scheme": "dark"},
    "desktop.twice": {"viewport": {"width": 600, "height": 380}, "device_scale_factor": 2},
    "phone.light": PHONE | {"color_scheme": "light"},
    "phone.dark": PHONE | {"color_scheme": "dark"},
    "phone.forced": PHONE | {"forced_colors": "active"},
}
DOCS_COLORS = 192  # of a picture in the documentation: a third of the bytes

FULL_NAMES = """
from django.contrib.auth import get_user_model
for user in get_user_model().objects.all():
    user.first_name = user.username.title()
    user.save()
"""

EXPLANATION = """A worker's claim on an answer is a **lease**: it holds only while its owner keeps renewing it.

| who | does what | how often |
| --- | --- | ---: |
| the worker | renews its lease | every 2 s |
| anybody | may take an answer over whose lease ran out | after 10 s |

So nobody has to know *why* a worker is silent. When it is killed, the row simply stops being renewed:

```python
def claim(message: Message, worker: Worker) -> bool:
    \"\"\"Compare and set: one of many wins, the others change nothing.\"\"\"
    return Message.objects.filter(pk=message.pk, status="pending").update(
        status="processing", worker=worker, attempt=F("attempt") + 1
    ) == 1
```

The text so far is stored each second, and `attempt` grows with each claim, so that a worker that was only *slow* and comes
back can't overwrite what its successor wrote.
"""
SECOND = """Three things happen, in this order:

1. The new attempt **starts the answer again**; everyone who is looking sees the text go on in the same place.
2. What had been written stays visible until the new text is longer.
3. The question that waited behind it keeps its place in the queue.

> An answer is never lost and a session is never stuck, whatever dies.

The math is simple: with a lease of $t$ seconds nobody waits longer than $t + 2$ for the first new word.
"""


State = Callable[[Stage], None]


def story(provider: ProviderProcess, alice: Person, bob: Person) -> str:
    """A session that looks like one of many: two people, answers with code and a table, one being written, one waiting."""
    for title in (
        "Notes for the release of 2.4",
        "Why is the nightly import slow?",
        "Names for the new office",
        "Reading list",
    ):
        alice.http.post("/api/sessions", json={"title": title})
    words = [piece for text in (EXPLANATION, SECOND) for piece in [text]]
    provider.script("sonnet-4.5", [{"text": words[0]}, {"text": words[1], "hold": 95}])
    session = alice.new_session("openai/sonnet-4.5")
    alice.http.patch(f"/api/sessions/{session}", json={"title": "How does an answer survive a restart?"})
    alice.invite(session, bob)
    first = alice.asked(session, "We deploy twice a day. What happens to an answer that is being written just then?")
    alice.wait_for_end(first)
    second = bob.asked(session, "And what do the others in the session see of it?")
    bob.wait_for(second, lambda message: len(message["content"]) > 300)
    alice.ask(session, "Then let us try it this afternoon: I’ll restart a worker while you ask something long.")
    return session


THOUGHTS = """**What grows**

The import takes row locks in the order of the file, the report holds one long snapshot. While that is open, no vacuum can
remove a dead row, so the index grows by the hour.

**What to look at first**

If both begin at about two o'clock, the import reads more pages each night than the night before. That fits “slow for three
weeks”: the report was moved then. But it would also fit a missing index after the release, so I should tell them apart:

- dead rows in `pg_stat_user_tables`, before and after a night
- `EXPLAIN (ANALYZE, BUFFERS)` of the slowest statement: pages read, not only time
- when the last autovacuum ended"""
FOUND = """Most probably the **report at two o'clock**: while its snapshot is open, nothing that the import leaves behind
can be removed."""
CHEAPER = """They ask for the cheapest way to be sure. One query is enough: the age of the oldest snapshot against the
number of dead rows.

If the age is high at half past two and the dead rows don't fall after the report, it is the report. If they fall, it
is not. I have to say which of the columns"""


def with_thoughts(provider: ProviderProcess, alice: Person) -> str:
    """A session whose model has thought once, and does so again."""
    thoughts, found, cheaper = (re.sub(r"(?<!\n)\n(?![\n-])", " ", text) for text in (THOUGHTS, FOUND, CHEAPER))
    steps = [
        {"thoughts": thoughts, "text": found, "rate": 25},
        {"thoughts": cheaper, "hold": 10_000, "text": "", "rate": 15},
    ]
    provider.script("reasoner-1", steps)
    session = alice.new_session("openai/reasoner-1")
    alice.http.patch(f"/api/sessions/{session}", json={"title": "The import that gets slower"})
    alice.wait_for_end(
        alice.asked(session, "Our nightly import has been getting slower for three weeks. Where do I look?")
    )
    alice.asked(session, "What is the cheapest way to be sure?")
    return session


def with_tools(provider: ProviderProcess, alice: Person) -> str:
    """A session whose model has used the calculator and the clock."""
    calls = [
        {"name": "calculate", "arguments": {"expression": "184 * 1.019^12"}},
        {"name": "current_time", "arguments": {"time_zone": "Asia/Tokyo"}},
    ]
    told = "In a year it will be about **231**, if it goes on like that. The working day in Tokyo begins "
    told += "eight or nine hours before London’s: release in your evening, and nobody there is kept waiting."
    provider.script("opus-4.5", [{"text": "Let me work that out.", "preamble": 99, "tools": calls}, {"text": told}])
    session = alice.new_session("openai/opus-4.5")
    changes = {"title": "Growth, and a good hour for the release", "services": ["calculator", "clock"]}
    alice.http.patch(f"/api/sessions/{session}", json=changes).raise_for_status()
    asked = "We grow by 1.9 % a month and are 184 now. Where are we in a year? And what time is it in Tokyo?"
    alice.wait_for_end(alice.asked(session, asked))
    return session


def tour(session: str, tools: str, thoughts: str) -> dict[str, tuple[str, State]]:
    """What docs/tour.md shows: the look and the state of each picture."""

    def at_story(stage: Stage) -> None:
        stage.open(session)
        expect(stage.window.answer()).to_contain_text("Three things")

    def sending(stage: Stage) -> None:
        at_story(stage)
        stage.page.get_by_role("button", name="Sending now").click()

    def message(stage: Stage) -> None:
        at_story(stage)
        stage.page.locator(".message.is-answer").first.hover()
        stage.page.get_by_role("button", name="More for this message").nth(1).click()
        expect(stage.page.get_by_role("menuitem", name="Fork from here")).to_be_visible()

    def people(stage: Stage) -> None:
        at_story(stage)
        stage.page.locator("[data-thread]").press("p")
        stage.page.get_by_role("button", name="Make a link").click()
        expect(stage.page.get_by_label("Invitation link")).to_be_visible()

    def settings(stage: Stage) -> None:
        at_story(stage)
        stage.page.locator("[data-thread]").press(",")
        expect(stage.page.get_by_role("dialog", name="Settings of this session")).to_be_visible()

    def search(stage: Stage) -> None:
        at_story(stage)
        stage.page.keyboard.press("Control+k")
        stage.page.get_by_label("Search in all of your sessions").fill("answer lease")
        expect(stage.page.locator(".found").first).to_be_visible()

    def at_tools(stage: Stage) -> None:
        stage.open(tools)
        expect(stage.window.answer()).to_contain_text("In a year")
        stage.page.locator(".tool-call summary").first.click()

    def thinking(stage: Stage) -> None:
        stage.open(thoughts)
        expect(stage.page.get_by_text("Thought for")).to_be_visible()
        stage.page.locator(".reasoning.is-live summary").click()
        expect(stage.page.get_by_role("group", name="What the model thought")).to_contain_text("which of the columns")

    def shared(stage: Stage) -> None:
        url = stage.alice.http.post(f"/api/sessions/{tools}/share").json()["url"]
        stage.page.goto(url)
        expect(stage.window.answer()).to_contain_text("In a year")

    def usage(stage: Stage) -> None:
        stage.window.open("/usage/")
        expect(stage.page.get_by_role("heading", name="Your usage")).to_be_visible()

    return {
        "session": ("desktop.light", at_story),
        "phone": ("phone.dark", at_story),
        "sending": ("desktop.light", sending),
        "message": ("desktop.light", message),
        "thinking": ("desktop.light", thinking),
        "tools": ("desktop.dark", at_tools),
        "people": ("desktop.light", people),
        "settings": ("desktop.light", settings),
        "search": ("desktop.light", search),
        "shared": ("phone.light", shared),
        "usage": ("desktop.light", usage),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="where to (a new folder in the temporary one)")
    parser.add_argument("--only", default="", help="only states whose name has one of these words, by commas")
    parser.add_argument("--looks", default="", help=f"only these, by commas: {', '.join(LOOKS)}")
    parser.add_argument("--docs", action="store_true", help="those of docs/tour.md, into docs/images")
    given = parser.parse_args()
    folder = given.folder or (
        ROOT / "docs" / "images" if given.docs else Path(tempfile.mkdtemp(prefix="parley-pages-"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for word in given.only.split(",") if word]
    looks = [look for look in given.looks.split(",") if look] or list(LOOKS)
    with (
        ProviderProcess() as provider,
        running(
            provider,
            ASSISTANT_SIGNUP="open",
            ASSISTANT_MODELS="Sonnet=openai/sonnet-4.5,Opus=openai/opus-4.5,Reasoner=openai/reasoner-1,openai/*",
        ) as product,
        chromium() as browser,
    ):
        alice, bob = product.people("alice", "bob")
        product.manage("shell", "--no-imports", "-c", FULL_NAMES)
        tools, thoughts = with_tools(provider, alice), with_thoughts(provider, alice)
        session = story(provider, alice, bob)

        def take(show: State, look: str, path: Path, who: str = "alice") -> None:
            with Window.opened(browser, product.url, who, reduced_motion="reduce", **LOOKS[look]) as window:
                show(Stage(window, alice, bob, product, provider))
                window.page.wait_for_timeout(300)
                window.page.screenshot(path=path)
            print(path, flush=True)

        shown = tour(session, tools, thoughts)
        if given.docs:
            for name, (look, show) in shown.items():
                if not words or any(word in name for word in words):
                    path = folder / f"{name}.png"
                    take(show, look, path, "" if name == "shared" else "alice")
                    Image.open(path).convert("RGB").quantize(
                        DOCS_COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
                    ).save(path, optimize=True)
        else:
            states = {name: show for name, (_, show) in shown.items()} | STATES
            for name, show in states.items():
                for look in looks if not words or any(word in name for word in words) else ():
                    is_nobody = name in SIGNED_OUT or name == "shared"
                    take(show, look, folder / f"{name}.{look}.png", "" if is_nobody else "alice")
        for person in (alice, bob):
            person.http.close()


if __name__ == "__main__":
    main()
