"""Settings of the app from the environment, for a project's settings.py: `globals().update(environment.given())`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from assistant.conf import Settings, of


def given(variables: Mapping[str, str] = os.environ, *, but: Collection[str] = ()) -> dict[str, Any]:
    """The app's settings that the environment sets, by name. Raises ImproperlyConfigured with a sentence that names the
    variable.

    What it doesn't set is not there: a settings.py may have set it, and the typed settings know the defaults. Variables of
    unknown names come along as they are, so that the checks speak of them; those in `but` are somebody else's.
    """
    ours = [setting for setting in of(Settings) if not setting.is_given_by_project]
    found = {setting.name: setting.read(variables) for setting in ours if variables.get(setting.name, "").strip()}
    known = {setting.name for setting in of(Settings)}.union(but)
    return found | {
        name: text for name, text in variables.items() if name.startswith(Settings.PREFIX) and name not in known
    }
