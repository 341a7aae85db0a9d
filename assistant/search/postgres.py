"""Search in PostgreSQL: a generated column and a GIN index on it. Migration 0008 makes both."""

from __future__ import annotations

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from assistant.search.words import MARKS, SEPARATORS, Term, plain

LONGEST_TEXT = 100_000  # characters of a message that are searched: a tsvector has a limit of a megabyte


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


def definitions(collation: str) -> list[str]:
    """The statements that make function, column and index.

    The column is empty as long as a message is being written: its checkpoints must not be indexed each second, and stay
    cheap (HOT) updates, for the indexed value does not change. `collation` folds the case of all scripts, which the
    database's own need not.
    """
    return [
        rf"""
        CREATE FUNCTION assistant_plain(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT
        AS $$
          SELECT regexp_replace(
            regexp_replace(lower(normalize(left($1, {LONGEST_TEXT}), NFKD){collation}), '[{MARKS}]', '', 'g'),
            '[{SEPARATORS}]+', ' ', 'g')
        $$
        """,
        """
        ALTER TABLE assistant_message ADD COLUMN search tsvector GENERATED ALWAYS AS (
          CASE WHEN status IN ('success', 'error') OR (status = 'cancelled' AND role = 'assistant')
            THEN to_tsvector('simple', left(assistant_plain(content), 100000)) END
        ) STORED
        """,
        "CREATE INDEX message_search ON assistant_message USING gin (search)",
    ]


REMOVALS = ["ALTER TABLE assistant_message DROP COLUMN search", "DROP FUNCTION assistant_plain(text)"]

HAS_ICU = "SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu' AND collencoding IN (-1, 6)"
ICU = ' COLLATE "und-x-icu"'
