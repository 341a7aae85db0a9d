"""Search in PostgreSQL: a generated column and a GIN index on it. Migration 0008 makes both, and `assistant_plain`.

That separates words as `words` does; whoever changes the one makes a migration of the other. A test compares them.
"""

from __future__ import annotations

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from assistant.search.words import Term, plain


def contains(terms: list[Term]) -> RawSQL:
    """The condition that all terms stand in a message."""
    query = " & ".join(f"({' <-> '.join(_lexemes(term))})" for term in terms)
    return RawSQL('"assistant_message"."search" @@ to_tsquery(\'simple\', %s)', [query], BooleanField())


def _lexemes(term: Term) -> list[str]:
    """Quoted; a word has no character that would need more: quotes and backslashes separate words.

    A wide backslash becomes a plain one only here (and so it does in `assistant_plain`, before words are separated).
    """
    quoted = ["'" + plain(word).replace("\\", " ") + "'" for word in term.words]
    if term.is_prefix:
        quoted[-1] += ":*"
    return quoted
