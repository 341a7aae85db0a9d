"""An app of the project's own that connects to the assistant's signals, and notes which process told it what."""

import json
import os
from typing import Any

from django.apps import AppConfig
from django.conf import settings


class Notes(AppConfig):
    name = "tests.embedded_project.notes"

    def ready(self) -> None:
        from assistant.signals import person_joined, tool_call_ended, turn_ended

        for signal in (turn_ended, tool_call_ended, person_joined):
            signal.connect(note)


def note(sender: type, signal: Any, **what: Any) -> None:
    line = {"of": sender.__name__, "pid": os.getpid(), **what}
    with (settings.DATA / "notes").open("a") as file:
        file.write(json.dumps(line, default=str) + "\n")
