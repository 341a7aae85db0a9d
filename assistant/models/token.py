"""A token by which a program speaks for a user. Stored as a hash; shown once."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, models
from django.db.models import Q
from django.db.models.functions import Now

from assistant.delivery import clock
from assistant.models.link import digest
from assistant.statements import Select

_USE_NOTED_EVERY = timedelta(minutes=1)  # not a write for each request


class ApiToken(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False, help_text="The token's first letters, to tell it by.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"

    @classmethod
    def issue(cls, user: Any) -> str:
        token = "parley_" + secrets.token_urlsafe(32)
        cls.objects.create(user=user, token_digest=digest(token), prefix=token[:12])
        return token

    @classmethod
    def user_of(cls, token: str) -> Any | None:
        """The active user for whom `token` speaks, or None."""
        found = _SPEAKING.one(token_digest=digest(token))
        if found is None:
            return None
        now = clock.now()
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_NOTED_EVERY)
        if found.last_used_at is None or found.last_used_at < now - _USE_NOTED_EVERY:
            with contextlib.suppress(OperationalError), _no_waiting():
                cls.objects.filter(stale, pk=found.pk).update(last_used_at=now)
        return found.user


_SPEAKING = Select(
    ApiToken,
    lambda p: ApiToken.objects.select_related("user").filter(token_digest=p("token_digest"), user__is_active=True),
)


@contextlib.contextmanager
def _no_waiting() -> Iterator[None]:
    """Within it SQLite does not wait for its write lock: whoever only reads is not kept by a note for the admin."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        patience_ms = int(cursor.execute("PRAGMA busy_timeout").fetchone()[0])
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience_ms}")
