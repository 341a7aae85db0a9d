"""What keeps servers from being used, for operators. Each worker notes what it sees; the newest counts."""

from __future__ import annotations

from django.db.models.functions import Now

from assistant.models.mcp_server import McpProblem
from assistant.ops.report import redacted


def note(name: str, reason: str) -> None:
    """`reason` is why the server called `name` can't be used; "" if it can."""
    if reason:
        plain = redacted("".join(letter for letter in reason if letter.isprintable()))
        McpProblem.objects.update_or_create(name=name, defaults={"reason": plain[:500], "noted_at": Now()})
    else:
        McpProblem.objects.filter(name=name).delete()
