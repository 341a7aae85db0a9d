"""The product as the tests here run it: with its own database and Redis where the environment names servers."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from typing import Any

import psutil

from tests.product import ProductProcess
from tests.provider import ProviderProcess

from .people import Person
from .storage import MAKE_PEOPLE, SQLITE, Storage, storage

STANDING_STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)


class Product(ProductProcess):
    """A running product that remembers all that it said, and knows its own processes by name."""

    def __init__(self, environment: dict[str, str], stored: Storage | None = None, **options: Any) -> None:
        stored = stored or Storage()
        super().__init__(stored.environment | environment, **options)
        self._tokens = dict(stored.tokens)
        if stored.file:
            shutil.copyfile(stored.file, self.data_dir / SQLITE)
        self.said: list[str] = []  # every line of the log, also of earlier starts

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.log.append(line)
                self.said.append(line)

    def people(self, *names: str) -> list[Person]:
        """Of the cast, or users made now; the caller closes them."""
        if new := [name for name in names if name not in self._tokens]:
            said = self.manage("shell", "--no-imports", "-c", MAKE_PEOPLE.format(names=new))
            self._tokens |= zip(new, json.loads(said), strict=True)
        return [Person(self.url, name, self._tokens[name]) for name in names]

    @property
    def is_started(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def child(self, word: str) -> psutil.Process:
        """The direct child of `serve` with this word in its command line."""
        found = [child for child in self.process.children() if word in " ".join(child.cmdline())]
        assert len(found) == 1, found
        return found[0]

    def workers(self) -> list[psutil.Process]:
        """The worker processes proper: those that hold turns."""
        rows = self.rows("SELECT pid FROM assistant_workerprocess WHERE stopped_at IS NULL")
        return [psutil.Process(pid) for (pid,) in rows if psutil.pid_exists(pid)]

    def worker_of(self, message_id: str) -> psutil.Process | None:
        """The process that writes this answer."""
        key = message_id if "DATABASE_URL" in self.environment else message_id.replace("-", "")
        rows = self.rows(
            "SELECT w.pid FROM assistant_workerprocess w JOIN assistant_message m ON m.worker_id = w.id "
            f"WHERE m.id = '{key}'"
        )
        return psutil.Process(rows[0][0]) if rows else None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if url := self.environment.get("DATABASE_URL"):
            import psycopg

            with psycopg.connect(url) as postgres:
                return postgres.execute(query).fetchall()
        with contextlib.closing(sqlite3.connect(self.data_dir / SQLITE, timeout=30)) as file:
            return file.execute(query).fetchall()

    @contextlib.contextmanager
    def frozen_workers(self) -> Iterator[None]:
        """Everything below `manage.py worker` stands still: what is asked now stays pending."""
        supervisor = self.child("manage.py worker")
        family: list[psutil.Process] = []
        # One that was just beginning a child has it after the first look: look until nobody is new.
        while new := [one for one in (supervisor, *supervisor.children(recursive=True)) if one not in family]:
            for process in new:
                process.send_signal(signal.SIGSTOP)
            self.wait_for(lambda new=new: all(one.status() in STANDING_STILL for one in new))
            family += new
        try:
            yield
        finally:
            for process in family:
                process.send_signal(signal.SIGCONT)

    def assert_no_traceback(self, since: int = 0) -> None:
        """None in the log, of which the first `since` lines are left out."""
        text = "".join(self.said[since:])
        assert "Traceback" not in text, text[-8000:]


@contextlib.contextmanager
def running(provider: ProviderProcess | None = None, **environment: str) -> Iterator[Product]:
    """A started product that asks `provider`; `environment` is added to what that needs.

    All tables and the cast are there when it starts, if it does not bring a database of its own.
    """
    with storage(is_new="DATABASE_URL" in environment) as stored, _product(provider, stored, environment) as product:
        yield product


@contextlib.contextmanager
def newly_installed(provider: ProviderProcess, **environment: str) -> Iterator[Product]:
    """As `running`, with nothing there when it starts."""
    with storage(is_new=True) as stored, _product(provider, stored, environment) as product:
        yield product


def _product(provider: ProviderProcess | None, stored: Storage, environment: dict[str, str]) -> Product:
    models = {"ASSISTANT_MODELS": "openai/words,openai/*", "OPENAI_API_KEY": "x"}
    if provider is not None:
        models["OPENAI_API_BASE"] = provider.base_url
    return Product(models | environment, stored)
