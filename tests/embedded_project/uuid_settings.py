"""The project with users of its own, whose keys are UUIDs; on PostgreSQL, where there is one."""

import os

from tests.embedded_project.settings import *  # noqa: F403
from tests.embedded_project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.embedded_project.people", "tests.embedded_project.notes"]
AUTH_USER_MODEL = "people.Person"
if port := os.environ.get("EMBEDDED_POSTGRES"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1", "PORT": port,
        }
    }  # fmt: skip
