"""The product's settings, and workers who wait long for the next supervisor: on a busy machine all else is slow too."""

from __future__ import annotations

from django.apps import AppConfig

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.e2e.patient.Patient"]


class Patient(AppConfig):
    name = "tests.e2e"

    def ready(self) -> None:
        from assistant.worker import succession

        succession.ORPHAN_SECONDS = 600.0
