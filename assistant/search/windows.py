"""The newest hits, without looking at all of them: in windows of messages, each ten times as large as the one before.

Of a common word there are enough in the first; a rare one has few everywhere, and its index is quick to say so. One
statement for both would make the database guess which it is, and where it guesses wrongly it walks through everything.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from assistant.models import Message
from assistant.search import postgres, sqlite
from assistant.search.words import Term

WINDOWS = (4_000, 40_000)  # messages, of everybody; then all that are older


def newest(user: Any, terms: list[Term], most: int, before: UUID | None) -> list[UUID]:
    """Up to `most` messages in `user`'s sessions, or with None in all, in which all terms stand, the newest first."""
    hits = postgres.hits if connection.vendor == "postgresql" else sqlite.hits
    found: list[UUID] = []
    for size in (*WINDOWS, None):
        since = None if size is None else _older(before, size)
        found += hits(user, terms, most - len(found), since, before)
        if len(found) >= most or since is None:
            break
        before = since
    return found


def _older(than: UUID | None, by: int) -> UUID | None:
    """The message that is `by` messages older; None: there are not so many. The ids' order is that of time."""
    ids = Message.objects.order_by("-pk").values_list("pk", flat=True)
    if than is not None:
        ids = ids.filter(pk__lt=than)
    return next(iter(ids[by : by + 1]), None)
