"""Programs of ours that read what strangers made, each run as a process of its own: over that it may hang or crash.

Such a program (`assistant/files/extraction.py`, `assistant/tools/page.py`) imports nothing of the project, sets limits on
itself, is given no secret of the environment, and is ended when its time is up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


class TookTooLong(Exception):
    """It was ended, by us or by its own limit of processor time."""


EXTRACTION = Path(__file__).with_name("extraction.py")  # reads files that people attached


class Crashed(Exception):
    """The message is the end of what it said about it."""


class IsolatedProcess:
    """One run of a program, in the thread that calls `answer`; `stop` may be called from another one."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self._command = [sys.executable, "-I", str(program), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def answer(self, content: bytes, seconds: float) -> bytes:
        """What the program answers to `content`, within `seconds`. Raises TookTooLong, Crashed."""
        if self._is_stopped:
            raise TookTooLong
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        )  # fmt: skip
        try:
            answer, said = self._process.communicate(content, timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise TookTooLong from None
        if self._process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            raise TookTooLong
        if self._process.returncode:
            raise Crashed(said.decode("utf-8", "replace")[-500:])
        return answer

    def stop(self) -> None:
        self._is_stopped = True
        if self._process is not None:
            self._process.kill()
