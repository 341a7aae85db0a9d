"""The project of somebody else (tests/embedded_project) as real processes: a Valkey of its own, web server and worker."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from assistant.processes.embedded_valkey import command
from tests.product import ROOT, free_port

MANAGE = ROOT / "tests" / "embedded_project" / "manage.py"
SECONDS = 90.0


class EmbeddedProject:
    """Its data in a temporary folder, migrated from nothing when the block is entered. `running` starts its processes."""

    def __init__(self, settings: str = "settings", **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mine-")
        self.data = Path(self._folder.name)
        self.log = self.data / "log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": f"tests.embedded_project.{settings}", "EMBEDDED_DATA": str(self.data),
            "REDIS_URL": f"unix://{self.data / 'v.sock'}", **environment,
        }  # fmt: skip

    def __enter__(self) -> EmbeddedProject:
        self._valkey = subprocess.Popen(command(self.data / "v.sock", self.data), stdout=subprocess.DEVNULL)
        try:
            self.manage("migrate", "-v0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        self._valkey.terminate()
        self._valkey.wait(20)
        self._folder.cleanup()

    def manage(self, *arguments: str) -> str:
        """What a management command printed."""
        done = subprocess.run(
            [sys.executable, str(MANAGE), *arguments],
            cwd="/", env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "-c", code).strip()

    @contextlib.contextmanager
    def running(
        self, application: str = "tests.embedded_project.asgi:application", ready: str = "/readyz"
    ) -> Iterator[None]:
        """With its web server and its worker; at the end they are stopped, and nothing went wrong in their log."""
        web = [sys.executable, "-m", "assistant.web", "--port", str(self.port), "--application", application]
        worker = [sys.executable, str(MANAGE), "worker"]
        with self.log.open("ab") as file:
            processes = [
                subprocess.Popen(arguments, cwd=ROOT, env=self.environment, stdout=file, stderr=file)
                for arguments in (web, worker)
            ]
        try:
            self.until(lambda: self._is_ready(ready))
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
        assert "Traceback" not in self.log.read_text(), self.log.read_text()[-4000:]

    def until(self, condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """The condition's first true value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-4000:])

    def _is_ready(self, path: str) -> bool:
        try:
            return httpx.get(self.url + path, trust_env=False, timeout=10, verify=False).status_code == 200
        except httpx.TransportError:
            return False
