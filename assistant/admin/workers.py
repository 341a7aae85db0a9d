"""Worker processes, to look at."""

from __future__ import annotations

from django.contrib import admin

from assistant.admin.base import ReadOnly, ago
from assistant.models import WorkerProcess


@admin.register(WorkerProcess)
class WorkerProcessAdmin(ReadOnly):
    list_display = ["__str__", "is_alive", "heartbeat", "load", "concurrency", "started_at", "stopped_at"]
    ordering = ["-heartbeat_at"]

    @admin.display(boolean=True, description="alive")
    def is_alive(self, worker: WorkerProcess) -> bool:
        return WorkerProcess.objects.alive().filter(pk=worker.pk).exists()

    @admin.display(description="heartbeat", ordering="heartbeat_at")
    def heartbeat(self, worker: WorkerProcess) -> str:
        return ago(worker.heartbeat_at)
