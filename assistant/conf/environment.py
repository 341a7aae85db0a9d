"""Settings of the app from the environment, for a project's settings.py: `globals().update(environment.given())`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from assistant.conf import Settings, of
from assistant.conf.validation import contradiction


def given(variables: Mapping[str, str] = os.environ, *, but: Collection[str] = ()) -> dict[str, Any]:
    """The app's settings by name. Raises ImproperlyConfigured with a sentence that names the variable.

    A setting whose default hangs on another one is only there if its variable is. Variables of unknown names come along
    as they are, so that the checks speak of them; those in `but` are somebody else's.
    """
    ours = [setting for setting in of(Settings) if not setting.is_given_by_project]
    found = {setting.name: setting.read(variables) for setting in ours if _has_value(setting, variables)}
    if clash := contradiction(found["ASSISTANT_LEASE"], found["ASSISTANT_HEARTBEAT"]):
        raise ImproperlyConfigured(clash)
    known = {setting.name for setting in of(Settings)}.union(but)
    return found | {
        name: text for name, text in variables.items() if name.startswith(Settings.PREFIX) and name not in known
    }


def _has_value(setting: Any, variables: Mapping[str, str]) -> bool:
    return not callable(setting.default) or bool(variables.get(setting.name, "").strip())
