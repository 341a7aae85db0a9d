"""`python -m bench.company`: what each page and call takes where 1,000,000 messages stand in 20,000 sessions.

    python -m bench.company                                       # on SQLite, in var/company
    python -m bench.company --postgres postgres://.../company     # a database of its own, empty or filled, as a superuser
    python -m bench.company --only search                         # a part

The database is filled the first time, and kept. What is measured is the server's own time, without HTTP and sockets: the
median and the longest of a few times, and the statements. Nothing that it does stays in the database.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from bench import section

FOLDER = Path("var/company")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.company", description="Pages and calls of a large company."
    )
    parser.add_argument("--postgres", help="the URL of a database of its own; else SQLite in var/company")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--only", default="", help="a part of the calls' names")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a document with the markers to write into")
    given = parser.parse_args()
    _set_up(given.postgres)
    from django.db import connection

    from bench.company import calls, filling

    if not calls.is_filled():
        began = time.monotonic()
        filling.fill(filling.Size(given.messages, given.sessions))
        print(f"Filled in {time.monotonic() - began:.0f} s.", flush=True)
    began, load = time.monotonic(), os.getloadavg()[0]
    rows = []
    for name, call in calls.calls():
        if given.only in name:
            rows.append([name, *calls.measured(call, given.times)])
            print(*rows[-1], sep="\t", flush=True)
    table = section.table(["", "median, ms", "longest, ms", "statements"], rows)
    kind = "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"
    text = f"On {kind}. {section.circumstances(time.monotonic() - began, load)}\n\n{table}"
    if given.out:
        section.write(given.out, f"company {kind}", text)
    return 0


def _set_up(postgres: str | None) -> None:
    """Django on that database, migrated. Its Valkey is nowhere: what would be published is dropped."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "ASSISTANT_DATA_DIR": str(FOLDER.absolute()), "DJANGO_SETTINGS_MODULE": "project.settings",
        "ASSISTANT_MODELS": "Test=test/model",
    }  # fmt: skip
    os.environ.pop("DATABASE_URL", None)
    if postgres:
        os.environ["DATABASE_URL"] = postgres
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    raise SystemExit(main())
