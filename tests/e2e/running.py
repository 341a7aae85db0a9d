"""The product as the tests here run it: with its own database and Redis where the environment names servers."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
import redis

from tests.product import ProductProcess
from tests.provider import ProviderProcess

from .people import Person

_MAKE_PEOPLE = """
import json
from django.contrib.auth import get_user_model
from assistant.models import ApiToken
users = get_user_model().objects
print(json.dumps([ApiToken.issue(users.create_user(name, password="correct horse")) for name in {names!r}]))
"""


class Product(ProductProcess):
    """A running product that remembers all that it said, and knows its own processes by name."""

    def __init__(self, environment: dict[str, str], **options: Any) -> None:
        super().__init__(environment, **options)
        self.said: list[str] = []  # every line of the log, also of earlier starts

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.log.append(line)
                self.said.append(line)

    def people(self, *names: str) -> list[Person]:
        """Makes users; the caller closes them."""
        tokens = json.loads(self.manage("shell", "--no-imports", "-c", _MAKE_PEOPLE.format(names=names)))
        return [Person(self.url, name, token) for name, token in zip(names, tokens, strict=True)]

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
        with contextlib.closing(sqlite3.connect(self.data_dir / "parley.sqlite3", timeout=30)) as file:
            return file.execute(query).fetchall()

    @contextlib.contextmanager
    def frozen_workers(self) -> Iterator[None]:
        """Everything below `manage.py worker` stands still: what is asked now stays pending."""
        supervisor = self.child("manage.py worker")
        family = [supervisor, *supervisor.children(recursive=True)]
        for process in family:
            process.send_signal(signal.SIGSTOP)
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
def storage() -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL for one product: its own database and Redis number on the servers that the
    environment names, nothing (SQLite and the embedded Valkey) where it names none."""
    with contextlib.ExitStack() as stack:
        found: dict[str, str] = {}
        if url := os.environ.get("DATABASE_URL", "").strip():
            found["DATABASE_URL"] = stack.enter_context(_own_database(url))
        if url := os.environ.get("REDIS_URL", "").strip():
            found["REDIS_URL"] = stack.enter_context(_own_redis(url))
        yield found


@contextlib.contextmanager
def running(provider: ProviderProcess | None = None, **environment: str) -> Iterator[Product]:
    """A started product that asks `provider`; `environment` is added to what that needs."""
    models = {"ASSISTANT_MODELS": "openai/words,openai/*", "OPENAI_API_KEY": "x"}
    if provider is not None:
        models["OPENAI_API_BASE"] = provider.base_url
    with storage() as stored, Product(models | stored | environment) as product:
        yield product


@contextlib.contextmanager
def _own_database(url: str) -> Iterator[str]:
    import psycopg

    name = f"parley_e2e_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def _own_redis(url: str) -> Iterator[str]:
    """A database number that no other product of the tests uses, if the server has one to spare."""
    for number in range(1, 16):
        own = urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
        client = redis.Redis.from_url(own)
        try:
            if client.set("parley-e2e-taken", "1", nx=True, ex=3600):
                try:
                    yield own
                finally:
                    client.flushdb()
                return
        finally:
            client.close()
    yield url
