"""What is wrong with the app's settings, as sentences that begin with the setting's name."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator

from django.conf import settings as django_settings

from assistant.conf import Settings, of, settings


def wrong() -> list[str]:
    """Of Django's settings: values that are not what they must be; if there are none, those that don't go together."""
    found = []
    for setting in of(Settings):
        value = getattr(django_settings, setting.name, setting.default)
        if not callable(value) and (problem := setting.problem(value)):
            found.append(f"{setting.name} {problem}; it is {reprlib.repr(value)}.")
    if not found and (clash := contradiction(settings.lease, settings.heartbeat)):
        found.append(clash)
    return found


def contradiction(lease: float, heartbeat: float) -> str | None:
    if lease >= 3 * heartbeat:
        return None
    return (
        f"ASSISTANT_LEASE ({lease:g} s) must be at least three times ASSISTANT_HEARTBEAT ({heartbeat:g} s), "
        "or one late heartbeat would look like a death."
    )


def unknown() -> Iterator[tuple[str, str | None]]:
    """Django's settings that are named like ours and are none, each with the name that was probably meant."""
    prefix = Settings.PREFIX
    known = [setting.name.removeprefix(prefix) for setting in of(Settings)]
    for name in dir(django_settings):
        if name.startswith(prefix) and (rest := name.removeprefix(prefix)) not in known:
            near = difflib.get_close_matches(rest, known, n=1)
            yield name, prefix + near[0] if near else None
