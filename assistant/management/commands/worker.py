from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from assistant import (
    conf,
    llm,
    markup,
    tasks,  # noqa: F401  what each worker would load for itself otherwise
)
from assistant.delivery import valkey
from assistant.mcp import connections as mcp_connections
from assistant.processes import host_processes
from assistant.processes.supervisor import Supervisor


class Command(BaseCommand):
    help = "Runs the workers: ASSISTANT_WORKERS django-q2 clusters of one worker process each, watched and replaced."

    def handle(self, *args: Any, **options: Any) -> None:
        if sentence := valkey.too_old():
            raise CommandError(sentence)
        with host_processes.without_collections():
            markup.warm()
            llm.preload()
            mcp_connections.preload()
        connections.close_all()  # children must not share a connection
        Supervisor(conf.settings.workers).run()
