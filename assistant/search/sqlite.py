"""Search in SQLite: an FTS5 table that triggers keep in step with the messages.

Django alters a table of SQLite by making it anew, and with the old one its triggers go, silently. So they are not a
migration's: after each run of `migrate` they are looked for, and where one is missing all are made and the index is
built anew.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection, transaction

from assistant.models import Participant
from assistant.search.words import Term

LONGEST_TEXT = 100_000  # as in PostgreSQL, so that both find the same


def hits(user: Any, terms: list[Term], most: int, since: UUID | None, before: UUID | None) -> list[UUID]:
    """Up to `most` of `user`'s messages from `since` on and before `before` in which all terms stand, the newest first.

    The index knows rows by numbers that grow nearly as the messages' ids do, so first these are narrowed.
    """
    sessions, mine = _of(user)
    within, bounds = "", []
    with connection.cursor() as cursor:
        if since is not None:
            cursor.execute(_NUMBERS, [since.hex, _end(before)])
            within, bounds = _NUMBERED, [*cursor.fetchone(), since.hex]
        cursor.execute(
            _HITS.format(within=within, mine=sessions), [_match(terms), *bounds, _end(before), *mine, most]
        )
        return [UUID(message) for (message,) in cursor.fetchall()]


def _of(user: Any) -> tuple[str, tuple[Any, ...]]:
    """The condition that a message is in one of `user`'s sessions; None: an operator's search, in all."""
    if user is None:
        return "", ()
    sessions, mine = Participant.objects.filter(user_id=user.pk).values("session_id").query.sql_with_params()
    return f"AND found.session IN ({sessions})", mine


def _end(before: UUID | None) -> str:
    return before.hex if before else "g"  # behind each id


def _match(terms: list[Term]) -> str:
    """Every term is a quoted string: nothing in it is an operator."""
    return " AND ".join(f'"{" ".join(term.words)}"{" *" if term.is_prefix else ""}' for term in terms)


_NUMBERS = "SELECT min(id), max(id) FROM assistant_search_row WHERE message >= %s AND message < %s"
_NUMBERED = "AND assistant_search.rowid BETWEEN %s AND %s AND found.message >= %s"
# CROSS: SQLite keeps this order. It knows nothing of how many hits there are.
_HITS = """
    SELECT found.message FROM assistant_search CROSS JOIN assistant_search_row AS found ON found.id = assistant_search.rowid
    WHERE assistant_search MATCH %s {within} AND found.message < %s {mine}
    ORDER BY found.message DESC LIMIT %s
"""

_TABLES = [
    # FTS5 knows rows by a number, messages have none; and SQLite's own row numbers may change.
    # Whose session it is in stands here, so that of another's hit nothing else is read.
    "CREATE TABLE assistant_search_row "
    "(id INTEGER PRIMARY KEY, message char(32) NOT NULL UNIQUE, session char(32) NOT NULL)",
    "CREATE VIRTUAL TABLE assistant_search "
    "USING fts5(content, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3 4')",
]

_IS_FOUND = "({0}.status IN ('success', 'error') OR ({0}.status = 'cancelled' AND {0}.role = 'assistant'))"
_FORGET = """
    DELETE FROM assistant_search WHERE rowid = (SELECT id FROM assistant_search_row WHERE message = OLD.id);
    DELETE FROM assistant_search_row WHERE message = OLD.id;
"""
_LEARN = f"""
    INSERT INTO assistant_search_row (message, session) SELECT NEW.id, NEW.session_id WHERE {_IS_FOUND.format("NEW")};
    INSERT INTO assistant_search (rowid, content)
      SELECT id, substr(NEW.content, 1, {LONGEST_TEXT}) FROM assistant_search_row WHERE message = NEW.id;
"""
_TRIGGERS = {
    "assistant_search_insert": f"AFTER INSERT ON assistant_message WHEN {_IS_FOUND.format('NEW')} BEGIN {_LEARN} END",
    # Not for the checkpoints of a text that is being written.
    "assistant_search_update": f"AFTER UPDATE OF content, status, role ON assistant_message "
    f"WHEN {_IS_FOUND.format('NEW')} OR {_IS_FOUND.format('OLD')} BEGIN {_FORGET} {_LEARN} END",
    "assistant_search_delete": f"AFTER DELETE ON assistant_message WHEN {_IS_FOUND.format('OLD')} BEGIN {_FORGET} END",
}
_FILL = [
    "INSERT INTO assistant_search_row (message, session) "
    f"SELECT id, session_id FROM assistant_message WHERE {_IS_FOUND.format('assistant_message')} ORDER BY id",
    f"INSERT INTO assistant_search (rowid, content) SELECT r.id, substr(m.content, 1, {LONGEST_TEXT}) "
    "FROM assistant_search_row r JOIN assistant_message m ON m.id = r.message ORDER BY r.id",
]


def install(connection: Any) -> bool:
    """Makes tables and triggers where these are missing or another release's, and the index. True: something was made."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        wanted = {name: f"CREATE TRIGGER {name} {body}" for name, body in _TRIGGERS.items()}
        if wanted.items() <= dict(cursor.fetchall()).items():
            return False
        for name in wanted:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        for table in ("assistant_search", "assistant_search_row"):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in (*_TABLES, *_FILL, *wanted.values()):
            cursor.execute(statement)
    return True
