"""`python -m tests.screenshots [FOLDER] [--only WORDS] [--docs]`: pictures of every page, made from a scripted session.

Each is made as a desktop and a phone see it, in light and dark: to be looked at whenever the pages change. `--docs` writes
only the two that the README shows, into docs/images.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import django
from playwright.sync_api import Browser, expect

# What the states are made of knows the product's models.
os.environ.setdefault("ASSISTANT_DATA_DIR", tempfile.mkdtemp(prefix="parley-"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from tests.e2e.page_states import SIGNED_OUT, STATES, Stage  # noqa: E402
from tests.e2e.people import Person  # noqa: E402
from tests.e2e.running import Product, running  # noqa: E402
from tests.e2e.windows import PHONE, Window, chromium  # noqa: E402
from tests.provider import ProviderProcess  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DESKTOP = {"viewport": {"width": 1200, "height": 760}, "device_scale_factor": 1}
DOCS = {("session", "desktop", "light"): "session.png", ("session", "phone", "dark"): "phone.png"}

_FULL_NAMES = """
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


def story(product: Product, provider: ProviderProcess, alice: Person, bob: Person) -> str:
    """A session that looks like one of many: two people, answers with code and a table, one being written, one waiting."""
    for title in (
        "Notes for the release of 2.4",
        "Why is the nightly import slow?",
        "Names for the new office",
        "Reading list",
    ):
        alice.http.post("/api/sessions", json={"title": title})
    words = [piece for text in (EXPLANATION, SECOND) for piece in [text]]
    provider.script("story", [{"text": words[0]}, {"text": words[1], "hold": 95}])
    session = alice.new_session("openai/story")
    alice.http.patch(f"/api/sessions/{session}", json={"title": "How does an answer survive a restart?"})
    alice.invite(session, bob)
    first = alice.asked(session, "We deploy twice a day. What happens to an answer that is being written just then?")
    alice.wait_for_end(first)
    second = bob.asked(session, "And what do the others in the session see of it?")
    bob.wait_for(second, lambda message: len(message["content"]) > 300)
    alice.ask(session, "Then let us try it this afternoon: I’ll restart a worker while you ask something long.")
    return session


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="where to (a new folder in the temporary one)")
    parser.add_argument("--only", default="", help="only states whose name has one of these words, by commas")
    parser.add_argument("--docs", action="store_true", help="the README's, into docs/images")
    given = parser.parse_args()
    folder = (
        ROOT / "docs" / "images" if given.docs else given.folder or Path(tempfile.mkdtemp(prefix="parley-pages-"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [word for word in given.only.split(",") if word]
    models = "Sonnet=openai/story,openai/*"
    with (
        ProviderProcess() as provider,
        running(provider, ASSISTANT_SIGNUP="open", ASSISTANT_MODELS=models) as product,
        chromium() as browser,
    ):
        alice, bob = product.people("alice", "bob")
        product.manage("shell", "--no-imports", "-c", _FULL_NAMES)
        session = story(product, provider, alice, bob)

        def story_state(stage: Stage) -> None:
            stage.open(session)
            expect(stage.window.answer()).to_contain_text("Three things")
            stage.page.wait_for_timeout(300)

        states: dict[str, Callable[[Stage], None]] = {"session": story_state} | STATES
        for name, show in states.items():
            if wanted and not any(word in name for word in wanted):
                continue
            for size, options in (("desktop", DESKTOP), ("phone", PHONE)):
                for scheme in ("light", "dark"):
                    if given.docs and (name, size, scheme) not in DOCS:
                        continue
                    path = folder / (DOCS[name, size, scheme] if given.docs else f"{name}.{size}.{scheme}.png")
                    _take(
                        browser,
                        product,
                        provider,
                        alice,
                        bob,
                        name,
                        show,
                        options | {"color_scheme": scheme, "reduced_motion": "reduce"},
                        path,
                    )
                    print(path, flush=True)
        for person in (alice, bob):
            person.http.close()


def _take(
    browser: Browser,
    product: Product,
    provider: ProviderProcess,
    alice: Person,
    bob: Person,
    name: str,
    show: Callable[[Stage], None],
    options: dict,
    path: Path,
) -> None:
    who = "" if name in SIGNED_OUT else "alice"
    with Window.opened(browser, product.url, who, **options) as window:
        show(Stage(window, alice, bob, product, provider))
        window.page.screenshot(path=path)


if __name__ == "__main__":
    main()
