"""`python -m bench.verbs`: the CPU and the statements of each verb on the way of a question, without HTTP and processes.

CPU of the calling thread, which other load hardly changes; each question is the first of a session of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import section

WARM, TIMES = 30, 100


@contextmanager
def installation() -> Iterator[None]:
    """A data dir with a migrated database and a Valkey, and Django set up on them."""
    with tempfile.TemporaryDirectory(prefix="verbs-") as folder:
        os.environ |= {"ASSISTANT_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "project.settings"}
        import django

        django.setup()
        from django.core.management import call_command

        from assistant.processes.embedded_valkey import command, socket_path

        socket = socket_path(Path(folder))
        valkey = subprocess.Popen(command(socket, Path(folder)), stdout=subprocess.DEVNULL)
        try:
            while not socket.exists():
                time.sleep(0.01)
            call_command("migrate", verbosity=0)
            yield
        finally:
            valkey.kill()
            valkey.wait()


def verbs() -> Iterator[dict[str, Callable[[], Any]]]:
    """One question after the other, each as the verbs of its way in their order."""
    from django.contrib.auth import get_user_model

    from assistant.lifecycle import answering, asking, claiming
    from assistant.lifecycle.answering import Written
    from assistant.models import ChatSession, Participant, WorkerProcess
    from assistant.prompt import context

    author = get_user_model().objects.create(username="alice")
    worker = WorkerProcess.objects.create(host="here", pid=1, boot_id="boot", concurrency=10)
    known: dict[str, Any] = {}

    def send() -> None:
        session = known["session"]
        known["sent"] = asking.send(session, author, "Hello?", uuid.uuid4().hex)

    def claim() -> None:
        known["claim"] = claiming.claim(known["sent"].reply.pk, worker)

    while True:
        known["session"] = ChatSession.objects.create()
        Participant.objects.create(session=known["session"], user=author, role="owner")
        yield {
            "send": send,
            "claim": claim,
            "prompt": lambda: context.prompt_for(known["claim"]),
            "succeed": lambda: answering.succeed(known["claim"], Written("Fine.", 1), {"total_tokens": 3}),
        }


def measured() -> list[list[str]]:
    from django.conf import settings
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    settings.ASSISTANT_RATE_LIMIT = 10**5  # never reached, and counted all the same
    seconds: dict[str, list[float]] = {}
    questions = verbs()
    for number in range(WARM + TIMES):
        for name, verb in next(questions).items():
            began = time.thread_time()
            verb()
            if number >= WARM:
                seconds.setdefault(name, []).append(time.thread_time() - began)
    asked = {}
    for name, verb in next(questions).items():
        with CaptureQueriesContext(connection) as found:
            verb()
        asked[name] = sum(not query["sql"].startswith(("BEGIN", "COMMIT")) for query in found)
    return [[name, str(asked[name]), f"{statistics.median(of) * 1000:.1f} ms"] for name, of in seconds.items()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.verbs", description="What each verb costs.")
    parser.add_argument("--out", type=Path, help="a document with the markers to write into")
    given = parser.parse_args()
    began, load = time.monotonic(), os.getloadavg()[0]
    with installation():
        table = section.table(["verb", "statements", "CPU, median"], measured())
    text = f"{table}\n\n{section.circumstances(time.monotonic() - began, load)}"
    if given.out:
        section.write(given.out, "verbs", text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
