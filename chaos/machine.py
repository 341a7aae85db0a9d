"""A second machine with workers of its own: processes in a PID namespace, as in a container, which end all at once.

To the others they are strangers: another boot id, process ids that mean nothing here. So only their leases tell that they
are dead, as of a machine that lost its power. It needs Linux, util-linux's `unshare`, and the right to use it (root).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from typing import Self

import psutil

from tests.e2e.running import Product
from tests.product import ROOT

UNSHARE = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]


def is_possible() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


class Machine:
    """Starts with its workers as `product` has them: the same settings, database and Redis."""

    def __init__(self, product: Product) -> None:
        self._process = process = subprocess.Popen(
            [*UNSHARE, sys.executable, "manage.py", "worker"],
            cwd=ROOT,
            env=product.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read_log, args=(process, product.said), daemon=True).start()

    def _read_log(self, process: subprocess.Popen[str], said: list[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            said.extend(f"elsewhere: {line}" for line in process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        """The power goes: the namespace's first process is killed, and the kernel ends all others with it."""
        if self._process.poll() is not None:
            return
        for first in psutil.Process(self._process.pid).children():
            first.send_signal(signal.SIGKILL)
        self._process.wait(30)
