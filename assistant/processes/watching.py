"""What `serve` becomes once all is prepared: a small process that watches the others and starts them again.

It knows nothing of Django and imports only what the watching takes, and it sleeps until something happens: a child ends, a
signal comes. `serving` prepares, and calls `become`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from assistant.processes.backoff import Backoff

WATCH_SECONDS = 0.1  # between looks while something is awaited
ANSWER_SECONDS = 2.0
WORKER_MARGIN_SECONDS, WEB_SECONDS, VALKEY_SECONDS = 20.0, 10.0, 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run. `valkey` is the command of the embedded one, empty without it; it runs already, as `valkey_pid`."""

    host: str
    port: int
    home: str  # the path under which the product stands
    known_host: str  # a name that ALLOWED_HOSTS lets in
    grace: float
    worker: list[str]
    web: list[str]
    valkey: list[str]
    valkey_pid: int = 0


def become(plan: Plan) -> NoReturn:
    """Puts the watching in the place of this program: the process stays, with its id, its children and its locks."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "assistant.processes.watching", json.dumps(asdict(plan))])


class Adopted:
    """A child that was started by the program that this process was before."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self) -> None:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Child:
    """A process of ours: started in a session of its own, so that a terminal's Ctrl-C reaches only us."""

    def __init__(
        self, name: str, command: list[str], stop_seconds: float, *, dies_with_us: bool = False, pid: int = 0
    ) -> None:
        self.name = name
        self._command, self._stop_seconds, self._dies_with_us = command, stop_seconds, dies_with_us
        self._process: subprocess.Popen[bytes] | Adopted | None = Adopted(pid) if pid else None
        self._backoff, self._started, self._start_at = Backoff(), time.monotonic(), 0.0

    @property
    def is_awaited(self) -> bool:
        """Whether it is to be started at a certain time."""
        return self._process is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
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
        pause = self._backoff.pause_after(time.monotonic() - self._started)
        self._process, self._start_at = None, time.monotonic() + pause
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        say(f"The {self.name} {how}; it starts again{f' in {pause:.1f} s' if pause else ' now'}.")

    def stop(self, hurried: Callable[[], bool]) -> None:
        """SIGTERM, and SIGKILL if it has not ended in time or we are `hurried`."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        until = time.monotonic() + self._stop_seconds
        while process.poll() is None:
            if time.monotonic() > until or hurried():
                process.kill()
                process.wait()
            time.sleep(0.02)
        self._process = None


class Watch:
    """Valkey (unless it is somebody else's), the workers, the web server: started in this order, stopped in their own."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stops = 0
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self.valkey = valkey_child(plan.valkey, plan.valkey_pid) if plan.valkey else None
        self.worker = Child("worker", plan.worker, plan.grace + WORKER_MARGIN_SECONDS)
        self.web = Child("web server", plan.web, WEB_SECONDS)

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT; a second one hurries."""
        # Whatever of these comes is a byte in the pipe too, also in the moment before we wait.
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        try:
            self._watch()
        finally:
            self._stop()

    def _watch(self) -> None:
        plan, is_ready = self._plan, False
        children = [child for child in (self.valkey, self.worker, self.web) if child]
        while not self._stops:
            for child in children:
                child.watch()
            if not is_ready and is_answering(plan.host, plan.port, f"{plan.home}readyz", plan.known_host):
                is_ready = True
                say(f"Ready on http://{plan.host}:{plan.port}{plan.home}")
            self._wait(WATCH_SECONDS if not is_ready or any(child.is_awaited for child in children) else None)
        say(
            f"Stopping: answers get {plan.grace:g} s to end, the others go on at the next start. Ctrl-C again hurries."
        )

    def _wait(self, seconds: float | None) -> None:
        """For a signal, a child's end among them, or so long."""
        select.select([self._woken], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 1024)

    def _stop(self) -> None:
        # Workers first: while they finish or hand over, viewers still see it. Valkey last: both use it.
        for child in (self.worker, self.web, self.valkey):
            if child:
                child.stop(lambda: self._stops > 1)

    def _on_signal(self, signum: int, frame: Any) -> None:
        self._stops += 1


def valkey_child(command: list[str], pid: int = 0) -> Child:
    return Child("embedded Valkey", command, VALKEY_SECONDS, dies_with_us=True, pid=pid)


def say(sentence: str) -> None:
    print(sentence, flush=True)


def is_answering(host: str, port: int, path: str, known_host: str) -> bool:
    """Whether a GET of the path is answered with 200. By hand: an HTTP client would be half of what this process holds."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((address, port), ANSWER_SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {known_host}\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _die_with_parent() -> None:
    """Runs in the child: Linux sends it SIGTERM when we are gone (elsewhere the next start ends it)."""
    import ctypes  # only in the child, which becomes another program

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    Watch(Plan(**json.loads(sys.argv[1]))).run()
