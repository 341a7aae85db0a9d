"""The real product as a process: `manage.py serve` in a data dir of its own, on a free port, driven from outside."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0
# Tests count what the model is asked, and ask more than a person does; those of titles and of limits switch them on.
QUIET = {
    "ASSISTANT_TITLES": "off",
    "ASSISTANT_RATE_LIMIT": "0",
    "ASSISTANT_UPLOAD_RATE": "0",
    "ASSISTANT_SIGN_IN_RATE": "0",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ProductProcess:
    """A running product. Use it as a context manager; at its end every process it started is gone.

    `environment` is added to a clean one: without DATABASE_URL and REDIS_URL it runs on SQLite and the embedded Valkey.
    """

    def __init__(self, environment: dict[str, str] | None = None, *, data_dir: Path | None = None) -> None:
        self._own_dir = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="parley-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.environment = kept | {"ASSISTANT_DATA_DIR": str(self.data_dir)} | QUIET | (environment or {})
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()
        if self._own_dir:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def start(self) -> float:
        """Starts it and waits until it is ready; returns the seconds that took."""
        began = time.monotonic()
        self._process = process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(self.port)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read_log, args=(process,), daemon=True).start()
        self.wait_for(lambda: any("Ready on" in line for line in self.log) or process.poll() is not None)
        assert process.poll() is None, "".join(self.log)
        return time.monotonic() - began

    def stop(self, signal_: int = signal.SIGTERM) -> int:
        """Ends it as an operator would and returns its exit code; what does not end is killed."""
        process = self._process
        if process is None:
            return 0
        family = self.processes()
        if process.poll() is None:
            process.send_signal(signal_)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for survivor in family:
            if survivor.is_running():
                survivor.kill()
        self.log.clear()
        self._process = None
        return process.returncode

    def processes(self) -> list[psutil.Process]:
        """Every process of the product, the first one first."""
        assert self._process is not None
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def manage(self, *arguments: str) -> str:
        """Runs a management command against the same data; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def new_user(self, username: str, password: str = "correct horse") -> str:
        """Makes a user and returns an API token of theirs."""
        code = (
            "from django.contrib.auth import get_user_model as g;"
            f"g().objects.create_user({username!r}, password={password!r})"
        )
        self.manage("shell", "--no-imports", "-c", code)
        return self.manage("create_token", username).split()[-1]

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60, verify=False)

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def wait_for(self, condition: Callable[[], Any], seconds: float = START_SECONDS) -> Any:
        """The condition's first true value. Raises AssertionError, with the log, if it does not come."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if value := condition():
                return value
            time.sleep(0.05)
        raise AssertionError("It did not come about. The product's log:\n" + "".join(self.log[-100:]))

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.log.append(line)
