"""Search in PostgreSQL: a generated column and a GIN index on it. Migration 0008 makes both, and `assistant_plain`.

That separates words as `words` does; whoever changes the one makes a migration of the other. A test compares them.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from assistant.models import Participant
from assistant.search.words import Term, plain


def hits(user: Any, terms: list[Term], most: int, since: UUID | None, before: UUID | None) -> list[UUID]:
    """Up to `most` of `user`'s messages from `since` on and before `before` in which all terms stand, the newest first."""
    sessions, mine = _of(user)
    within, bounds = "", []
    if since is not None:
        within, bounds = "AND id >= %s", [since]
    if before is not None:
        within, bounds = f"{within} AND id < %s", [*bounds, before]
    with connection.cursor() as cursor:
        cursor.execute(_HITS.format(within=within, mine=sessions), [matching(terms), *bounds, *mine, most])
        return [message for (message,) in cursor.fetchall()]


def _of(user: Any) -> tuple[str, tuple[Any, ...]]:
    """The condition that a message is in one of `user`'s sessions; None: an operator's search, in all."""
    if user is None:
        return "", ()
    sessions, mine = Participant.objects.filter(user_id=user.pk).values("session_id").query.sql_with_params()
    return f"AND session_id IN ({sessions})", mine


def matching(terms: list[Term]) -> str:
    """The tsquery that all terms stand in a message."""
    return " & ".join(f"({' <-> '.join(_lexemes(term))})" for term in terms)


# MATERIALIZED: all hits of a window, by the index of words. Else LIMIT makes the planner walk the primary key backwards
# in the hope of meeting some soon, and of a rare word it meets none.
_HITS = """
    WITH found AS MATERIALIZED (
      SELECT id FROM assistant_message
      WHERE search @@ to_tsquery('simple', %s) {within} {mine}
    )
    SELECT id FROM found ORDER BY id DESC LIMIT %s
"""


def _lexemes(term: Term) -> list[str]:
    """Quoted; a word has no character that would need more: quotes and backslashes separate words.

    A wide backslash becomes a plain one only here (and so it does in `assistant_plain`, before words are separated).
    """
    quoted = ["'" + plain(word).replace("\\", " ") + "'" for word in term.words]
    if term.is_prefix:
        quoted[-1] += ":*"
    return quoted
