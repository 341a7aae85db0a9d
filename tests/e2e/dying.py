"""The product's settings, and a process that kills itself after it has committed the end of an answer and before it tells.

It does so once, if there is the file that DYING_FILE names.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from django.apps import AppConfig

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.e2e.dying.Dying"]


class Dying(AppConfig):
    name = "tests.e2e"

    def ready(self) -> None:
        from django.db import transaction

        from assistant.presentation import broadcast

        real = broadcast.on_commit

        def on_commit(session_id: Any, frame: str) -> None:
            if '"role":"assistant"' in frame and '"status":"success"' in frame:
                transaction.on_commit(_die)
            real(session_id, frame)

        broadcast.on_commit = on_commit


def _die() -> None:
    try:
        os.unlink(os.environ["DYING_FILE"])
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
