"""`manage.py serve`: prepares the whole product on one machine, and becomes the small process that watches it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from redis.backoff import NoBackoff
from redis.retry import Retry

from assistant import addresses, conf
from assistant.processes import embedded_valkey
from assistant.processes.watching import Plan, become, valkey_child

logger = logging.getLogger(__name__)

VALKEY_SECONDS = 10.0


def serve(host: str, port: int, before_workers: Callable[[], Any]) -> None:
    """Prepares all and goes over to the watching; this program ends here.

    `before_workers` is called once the database and Valkey can be used. Raises CommandError, with a sentence, if it can't
    start.
    """
    check_port(host, port)
    plan = _plan(host, port)
    if plan.valkey:
        _take_data_dir()
    else:
        check_redis()
    migrate()
    if plan.valkey:
        plan = dataclasses.replace(plan, valkey_pid=_started_valkey(plan.valkey))
    _recover(before_workers)
    become(plan)


def _plan(host: str, port: int) -> Plan:
    module, _, name = settings.ASGI_APPLICATION.rpartition(".")
    web = [sys.executable, "-m", "assistant.web", "--host", host, "--port", str(port)]
    return Plan(
        host=host,
        port=port,
        home=addresses.home(),
        known_host=_known_host(),
        grace=conf.settings.grace,
        worker=[sys.executable, sys.argv[0], "worker"],
        web=[*web, "--application", f"{module}:{name}"],
        valkey=_valkey_command() if conf.settings.embedded_valkey else [],
    )


# --- the embedded Valkey ---


def _data_dir() -> Path:
    if conf.settings.data_dir is None:
        raise CommandError("ASSISTANT_EMBEDDED_VALKEY needs ASSISTANT_DATA_DIR, a folder for its socket.")
    return Path(conf.settings.data_dir)


def _take_data_dir() -> None:
    """Holds the data dir for this process, whatever it becomes: a second one would take its Valkey's socket away."""
    file = os.open(_data_dir() / "serve.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CommandError(f"Another Parley is running on the data in {conf.settings.data_dir}.") from None
    os.set_inheritable(file, True)  # by the program that follows; children are started without it


def _valkey_command() -> list[str]:
    path = embedded_valkey.socket_path(_data_dir())
    return embedded_valkey.command(path, path.parent)


def _started_valkey(command: list[str]) -> int:
    """The process id of a Valkey that answers."""
    with contextlib.suppress(redis.RedisError):  # one whose serve was killed
        _knock().shutdown(nosave=True)
    child = valkey_child(command)
    child.start()
    until = time.monotonic() + VALKEY_SECONDS
    while True:
        try:
            _knock().ping()
            return child.pid
        except redis.RedisError as error:
            if time.monotonic() > until:
                raise CommandError(f"The embedded Valkey did not start: {error}") from error
            time.sleep(0.02)


def _knock() -> redis.Redis:
    """A client that asks once: by default redis-py tries again for seconds before it says that nobody is there."""
    path = embedded_valkey.socket_path(_data_dir())
    return redis.Redis(unix_socket_path=str(path), retry=Retry(NoBackoff(), 0))


# --- what must be so before anything starts ---


def _recover(before_workers: Callable[[], Any]) -> None:
    """After a crash: the answers of the workers that it ended wait for the new ones, and no dead one looks ready."""
    try:
        before_workers()
    except OperationalError as error:
        logger.warning("The answers of dead workers are left to the new ones: %s", str(error).strip())
    finally:
        connections.close_all()


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(f"Can't listen on {host}:{port}: {error.strerror}.") from error


def check_redis() -> None:
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping()
    except (redis.RedisError, OSError) as error:
        raise CommandError(f"REDIS_URL: the server does not answer ({error}).") from error


def migrate() -> None:
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except OperationalError as error:
        raise CommandError(f"The database can't be used: {str(error).strip().splitlines()[0]}.") from error
    finally:
        connections.close_all()


def _known_host() -> str:
    """A host name that ALLOWED_HOSTS lets in."""
    names = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    return names[0].lstrip(".") if names else "localhost"
