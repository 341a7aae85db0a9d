"""Chainlit in a virtual environment of its own, as a process that answers on 127.0.0.1."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import psutil

from tests.product import ROOT, START_SECONDS, free_port

FOLDER = ROOT / ".bench-peers"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
STOP_SECONDS = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the environment may name a proxy


def install() -> None:
    """Makes the environment, once for each list of requirements: takes minutes, and is all that needs a network."""
    installed, wanted = FOLDER / "installed.txt", REQUIREMENTS.read_text()
    if installed.exists() and installed.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER / "venv"], check=True)
    pip = [str(FOLDER / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
    installed.write_text(wanted)


class ChainlitProcess:
    """The app, asking the provider at `base_url`. A context manager, as tests.product.ProductProcess is."""

    def __init__(self, base_url: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._base_url = base_url
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    def start(self) -> float:
        """Starts it and waits until its page is there; returns the seconds that took."""
        install()
        folder = FOLDER / "app"  # for what it writes where it runs
        folder.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        command = [str(FOLDER / "venv" / "bin" / "chainlit"), "run", str(Path(__file__).with_name("app.py"))]
        began = time.monotonic()
        self._process = subprocess.Popen(
            [*command, "--headless", "--host", "127.0.0.1", "--port", str(self._port)],
            cwd=folder,
            env=kept | {"OPENAI_BASE_URL": self._base_url, "OPENAI_API_KEY": "sk-bench"},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self._is_answering():
            if self._process.poll() is not None or time.monotonic() > began + START_SECONDS:
                raise RuntimeError("Chainlit did not start.")
            time.sleep(0.05)
        return time.monotonic() - began

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def processes(self) -> list[psutil.Process]:
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def _is_answering(self) -> bool:
        try:
            with _DIRECT.open(self.url, timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False
