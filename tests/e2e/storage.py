"""Where a product of the tests keeps its data: a database and a Redis of its own where the environment names servers,
and, as it begins, all tables and the cast in them. To migrate and to make people takes half of what a start takes, so it is
done once for a process of tests, and each product gets a copy.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis

from tests.product import ProductProcess

CAST = ("alice", "bob", "carol", "dora")
SQLITE = "parley.sqlite3"  # in the data dir
MAKE_PEOPLE = """
import json
from django.contrib.auth import get_user_model
from assistant.models import ApiToken
users = get_user_model().objects
print(json.dumps([ApiToken.issue(users.create_user(name, password="correct horse")) for name in {names!r}]))
"""
_MIGRATE = "from django.core.management import call_command; call_command('migrate', verbosity=0)"


@dataclass(frozen=True)
class Storage:
    environment: dict[str, str] = field(default_factory=dict)  # DATABASE_URL and REDIS_URL, where servers are named
    tokens: dict[str, str] = field(default_factory=dict)  # of the people who are there from the beginning
    file: Path | None = None  # what SQLite's file begins as


@contextlib.contextmanager
def storage(*, is_new: bool = False) -> Iterator[Storage]:
    """For one product; with nothing in it, not even tables, if it `is_new`."""
    begins = Storage() if is_new else _prepared()
    environment = {}
    with contextlib.ExitStack() as stack:
        if url := _server("DATABASE_URL"):
            template = begins.environment.get("DATABASE_URL", "")
            environment["DATABASE_URL"] = stack.enter_context(_own_database(url, template))
        if url := _server("REDIS_URL"):
            environment["REDIS_URL"] = stack.enter_context(_own_redis(url))
        yield Storage(environment, begins.tokens, begins.file)


@functools.cache
def _prepared() -> Storage:
    """A database with all tables and the cast, until this process ends."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="parley-prepared-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    environment = {}
    if url := _server("DATABASE_URL"):
        environment["DATABASE_URL"] = stack.enter_context(_own_database(url))
    product = ProductProcess(environment, data_dir=folder)
    said = product.manage("shell", "--no-imports", "-c", _MIGRATE + MAKE_PEOPLE.format(names=CAST))
    tokens = dict(zip(CAST, json.loads(said), strict=True))
    return Storage(environment, tokens, None if environment else folder / SQLITE)


def _server(variable: str) -> str:
    return os.environ.get(variable, "").strip()


@contextlib.contextmanager
def _own_database(url: str, template: str = "") -> Iterator[str]:
    """A copy of the `template`, if one is named, of which nobody may be a client."""
    import psycopg

    name = f"parley_e2e_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        source = f" TEMPLATE {urlsplit(template).path.strip('/')}" if template else ""
        server.execute(f"CREATE DATABASE {name}{source}")
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
