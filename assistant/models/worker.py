"""A worker process and its lease: the heartbeat that says that its turns are alive."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

from assistant import conf
from assistant.models.ids import new_id


class WorkerQuerySet(models.QuerySet["WorkerProcess"]):
    def alive(self) -> WorkerQuerySet:
        """Those whose lease has not run out. The database's clock judges, for hosts' clocks differ.

        A heartbeat that is to come was noted before that clock was set back; the living have renewed it since.
        """
        lease = timedelta(seconds=conf.settings.lease)
        return self.filter(stopped_at=None, heartbeat_at__gt=Now() - lease, heartbeat_at__lt=Now() + lease)


class WorkerProcess(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    boot_id = models.CharField(
        max_length=64, help_text="Tells this run of the host from an earlier one with the same pids."
    )
    load = models.PositiveIntegerField(default=0, help_text="Turns being worked on.")
    concurrency = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    stopped_at = models.DateTimeField(null=True, blank=True, help_text="Stopped in order, or found dead.")
    died_holding = models.PositiveIntegerField(null=True, blank=True, help_text="Answers, when it was found dead.")
    died_calling = models.PositiveIntegerField(null=True, blank=True, help_text="Those of them that called a tool.")

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "worker processes"
        # No index of `heartbeat_at`: a heartbeat would have to write it as well, and PostgreSQL could not put the new row
        # beside the old one. There are few rows, and alive() reads them all.

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

    @property
    def mailbox(self) -> str:
        """Where this process waits for what others tell it, see `assistant.delivery.mailbox`."""
        return f"worker.{self.id.hex}"
