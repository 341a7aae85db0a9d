"""System checks: each ASSISTANT_ setting has a value of its kind, and no other is set."""

from __future__ import annotations

from typing import Any

from django.core import checks

from assistant.conf import validation


@checks.register()
def settings_are_right(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    return [checks.Error(sentence, id="assistant.E006") for sentence in validation.wrong()]


@checks.register()
def settings_are_known(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    return [
        checks.Warning(
            f"There is no setting {name}, so it changes nothing.",
            hint=f"Is {meant} meant?" if meant else "docs/settings.md has them all.",
            id="assistant.W003",
        )
        for name, meant in validation.unknown()
    ]
