from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from assistant.lifecycle import recovery
from assistant.processes.serving import serve


class Command(BaseCommand):
    help = "Runs the whole product on this machine: Valkey (unless REDIS_URL is set), the workers and the web server."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        if not 1 <= port <= 65535:
            raise CommandError(f"--port must be between 1 and 65535; it is {port}.")
        serve(options["host"], port, before_workers=recovery.bury_the_dead_here)
