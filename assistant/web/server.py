"""Daphne, as `serve` starts it: on uvloop, without an access log, and not outliving the process that started it."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import signal
import sys
import threading
from typing import Any

import uvloop
from channels.routing import ProtocolTypeRouter
from django.core.handlers.asgi import ASGIHandler

from assistant.processes import host_processes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m assistant.web")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default="8000")
    parser.add_argument("--application", default="project.asgi:application")
    options = parser.parse_args()
    host_processes.share_arenas()
    if served_by := os.environ.get("PARLEY_SERVED_BY"):
        threading.Thread(target=_end_with, args=(int(served_by),), name="parent watch", daemon=True).start()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # Not before: these import Twisted, which then takes uvloop's loop.
    from daphne.cli import CommandLineInterface

    from assistant.web import backpressure, bodies

    backpressure.install()
    bodies.install()
    # A full collection over all that is loaded stops every viewer's frames for 0.1 s and more; none of it ever goes away.
    module, _, name = options.application.partition(":")
    require_sockets(getattr(importlib.import_module(module), name or "application"), options.application)
    host_processes.freeze_heap()
    sys.argv = ["daphne"]
    CommandLineInterface().run(
        ["-b", options.host, "-p", options.port, "-v", "0", "--access-log", os.devnull,
         "--application-close-timeout", "5", "--no-server-name", options.application]
    )  # fmt: skip


def require_sockets(application: Any, name: str) -> None:
    """Ends the process with a sentence if the application is one of Django's or Channels' that routes no WebSockets.

    What is wrapped in something else is taken at its word.
    """
    if isinstance(application, ProtocolTypeRouter):
        lacks = "websocket" not in application.application_mapping
    else:
        lacks = isinstance(application, ASGIHandler)
    if lacks:
        sys.exit(
            f"{name} routes no WebSockets, so nobody would see an answer being written. "
            "Route them to assistant.sockets.routing.websocket_urlpatterns; docs/embedding.md shows how."
        )


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        host_processes.wait_for_end([parent], None)
    os.kill(os.getpid(), signal.SIGTERM)
