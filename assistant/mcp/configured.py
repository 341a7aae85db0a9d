"""Which MCP servers there are: those of the file that ASSISTANT_MCP names, and those that administrators have entered.

The file is in the form that others use: `{"mcpServers": {"name": {"command", "args", "env"} or {"url", "headers"}}}`,
with `title`, `description`, `approval` (always, writes, never) and `timeout` (seconds) beside them.
"""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant import conf
from assistant.models.mcp_server import ApprovalRule, McpServer
from assistant.tools.declare import NAME, WrongTools

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Configured:
    name: str
    title: str
    description: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    approval: str = ApprovalRule.ALWAYS
    timeout_seconds: float = 60.0
    grant_id: int | None = None  # where somebody signs in for all
    signed_in: str = ""  # when; another one is another connection
    needs_sign_in: bool = False


def servers() -> dict[str, Configured]:
    """All of them by name; the file's come first. Reads the database. Raises WrongTools."""
    entered = {row.name: _of_row(row) for row in McpServer.objects.filter(is_enabled=True).select_related("grant")}
    return entered | of_the_file()


def of_the_file() -> dict[str, Configured]:
    """Raises WrongTools."""
    path = conf.settings.mcp
    return read(path) if path else {}


@functools.cache
def read(path: str) -> dict[str, Configured]:
    try:
        found = json.loads(Path(path).read_text())["mcpServers"]
        return {name: _of_entry(name, entry) for name, entry in found.items()}
    except OSError as error:
        raise WrongTools(f"ASSISTANT_MCP: the file {path} can't be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongTools(f"ASSISTANT_MCP: the file {path} has not the form it should have ({error}).") from error


def _of_entry(name: str, entry: dict[str, Any]) -> Configured:
    if not NAME.fullmatch(name) or len(name) > 24:
        raise ValueError(f"{name!r} is no name of letters, digits and _, 24 at most")
    if bool(entry.get("url")) == bool(entry.get("command")):
        raise ValueError(f"{name} needs either a url or a command")
    return Configured(
        name=name,
        title=str(entry.get("title", name)),
        description=str(entry.get("description", "")),
        url=str(entry.get("url", "")),
        headers=_pairs(entry.get("headers", {})),
        command=(str(entry["command"]), *map(str, entry.get("args", ()))) if entry.get("command") else (),
        env=_pairs(entry.get("env", {})),
        approval=ApprovalRule(entry.get("approval", ApprovalRule.ALWAYS)),
        timeout_seconds=float(entry.get("timeout", 60)),
    )


def _of_row(row: McpServer) -> Configured:
    grant = getattr(row, "grant", None) if row.uses_oauth else None
    return Configured(
        name=row.name,
        title=row.title,
        description=row.description,
        url=row.url,
        headers=_pairs(row.headers),
        command=tuple(row.command),
        env=_pairs(row.env),
        approval=row.approval,
        timeout_seconds=row.timeout_seconds,
        grant_id=grant.pk if grant else None,
        signed_in=str(grant.connected_at) if grant else "",
        needs_sign_in=row.uses_oauth and not (grant and grant.is_usable),
    )


def _pairs(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """With `${NAME}` replaced by the environment's value, or nothing."""
    filled = {
        name: _VARIABLE.sub(lambda found: os.environ.get(found[1], ""), str(value)) for name, value in values.items()
    }
    return tuple(sorted(filled.items()))
