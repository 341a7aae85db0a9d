"""`manage.py serve`: the whole product on one machine, as child processes that are watched and started again."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
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

logger = logging.getLogger(__name__)

CALM_SECONDS = 5.0  # who lived this long was killed, it did not fail to start: no reason to wait
LONGEST_BACKOFF_SECONDS = 10.0
WATCH_SECONDS = 0.1
VALKEY_SECONDS = 10.0


class Child:
    """A process of ours: started in a session of its own, so that a terminal's Ctrl-C reaches only us."""

    def __init__(
        self,
        name: str,
        command: list[str],
        say: Callable[[str], None],
        stop_seconds: float,
        *,
        dies_with_us: bool = False,
    ) -> None:
        self._dies_with_us = dies_with_us
        self.name, self.command, self.stop_seconds = name, command, stop_seconds
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._failures, self._started, self._start_at = 0, 0.0, 0.0

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.command,
            start_new_session=True,
            env=os.environ | {"PARLEY_SERVED_BY": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent if self._dies_with_us else None,
        )
        self._started = time.monotonic()

    def watch(self) -> None:
        """Starts it again if it died, later each time it dies young."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self.start()
            return
        code = self._process.poll()
        if code is None:
            return
        self._failures = 1 if time.monotonic() - self._started > CALM_SECONDS else self._failures + 1
        pause = 0.0 if self._failures == 1 else min(0.5 * 2**self._failures, LONGEST_BACKOFF_SECONDS)
        self._process, self._start_at = None, time.monotonic() + pause
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._say(f"The {self.name} {how}; it starts again{f' in {pause:.1f} s' if pause else ' now'}.")

    def stop(self, hurried: Callable[[], bool]) -> None:
        """SIGTERM, and SIGKILL if it has not ended in time or we are `hurried`."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        until = time.monotonic() + self.stop_seconds
        while process.poll() is None:
            if time.monotonic() > until or hurried():
                process.kill()
                process.wait()
            time.sleep(0.02)
        self._process = None


class Product:
    """Valkey (unless REDIS_URL names one), the workers, the web server; started in this order, stopped in their own.

    `before_workers` is called once the database and Valkey can be used.
    """

    def __init__(self, host: str, port: int, say: Callable[[str], None], before_workers: Callable[[], Any]) -> None:
        self.host, self.port, self._say, self._before_workers = host, port, say, before_workers
        self._stops = 0
        manage = sys.argv[0]
        grace = conf.settings.grace
        web = [sys.executable, "-m", "assistant.web", "--host", host, "--port", str(port)]
        application = settings.ASGI_APPLICATION.rpartition(".")
        web += ["--application", f"{application[0]}:{application[2]}"]
        self.valkey = self._embedded_valkey() if conf.settings.embedded_valkey else None
        self.worker = Child("worker", [sys.executable, manage, "worker"], say, stop_seconds=grace + 20)
        self.web = Child("web server", web, say, stop_seconds=10)

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises CommandError, with a sentence, if it can't start."""
        check_port(self.host, self.port)
        with self._alone():
            self._run()

    def _run(self) -> None:
        migrate()
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        try:
            self._start()
            self._watch()
        finally:
            self._stop()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the data dir for itself while it runs the Valkey in it: a second one would take its socket away."""
        if self.valkey is None:
            yield
            return
        with (self._data_dir() / "serve.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CommandError(f"Another Parley is running on the data in {conf.settings.data_dir}.") from None
            yield

    def _start(self) -> None:
        if self.valkey:
            with contextlib.suppress(redis.RedisError):  # one whose serve was killed
                self._knock().shutdown(nosave=True)
            self.valkey.start()
            self._await_valkey()
        else:
            check_redis()
        self._recover()
        self.worker.start()
        self.web.start()

    def _recover(self) -> None:
        """After a crash: the answers of the workers that it ended wait for the new ones, and no dead one looks ready."""
        try:
            self._before_workers()
        except OperationalError as error:
            logger.warning("The answers of dead workers are left to the new ones: %s", str(error).strip())
        finally:
            connections.close_all()

    def _watch(self) -> None:
        children = [child for child in (self.valkey, self.worker, self.web) if child]
        is_ready = False
        while not self._stops:
            for child in children:
                child.watch()
            if not is_ready and is_answering(self.host, self.port):
                is_ready = True
                self._say(f"Ready on http://{self.host}:{self.port}{addresses.home()}")
            time.sleep(WATCH_SECONDS)
        grace = conf.settings.grace
        self._say(
            f"Stopping: answers get {grace:g} s to end, the others go on at the next start. Ctrl-C again hurries."
        )

    def _stop(self) -> None:
        # Workers first: while they finish or hand over, viewers still see it. Valkey last: both use it.
        for child in (self.worker, self.web, self.valkey):
            if child:
                child.stop(lambda: self._stops > 1)

    def _data_dir(self) -> Path:
        if conf.settings.data_dir is None:
            raise CommandError("ASSISTANT_EMBEDDED_VALKEY needs ASSISTANT_DATA_DIR, a folder for its socket.")
        return Path(conf.settings.data_dir)

    def _embedded_valkey(self) -> Child:
        self._socket = embedded_valkey.socket_path(self._data_dir())
        command = embedded_valkey.command(self._socket, self._socket.parent)
        return Child("embedded Valkey", command, self._say, stop_seconds=5, dies_with_us=True)

    def _knock(self) -> redis.Redis:
        """A client that asks once: by default redis-py tries again for seconds before it says that nobody is there."""
        return redis.Redis(unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0))

    def _await_valkey(self) -> None:
        until = time.monotonic() + VALKEY_SECONDS
        while True:
            try:
                self._knock().ping()
                return
            except redis.RedisError as error:
                if time.monotonic() > until:
                    raise CommandError(f"The embedded Valkey did not start: {error}") from error
                time.sleep(0.02)

    def _on_signal(self, signum: int, frame: Any) -> None:
        self._stops += 1


def _die_with_parent() -> None:
    """Runs in the child: Linux sends it SIGTERM when we are gone (elsewhere the next start ends it)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


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


def is_answering(host: str, port: int) -> bool:
    """Whether the product is ready: web server, database, Redis and a worker."""
    address = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    request = urllib.request.Request(
        f"http://{address}:{port}{addresses.home()}readyz", headers={"Host": _known_host()}
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _known_host() -> str:
    """A host name that ALLOWED_HOSTS lets in."""
    names = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    return names[0].lstrip(".") if names else "localhost"
