"""Search in SQLite: an FTS5 table that triggers keep in step with the messages.

Django alters a table of SQLite by making it anew, and with the old one its triggers go, silently. So they are not a
migration's: after each run of `migrate` they are looked for, and where one is missing all are made and the index is
built anew.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from assistant.search.words import Term

LONGEST_TEXT = 100_000  # as in PostgreSQL, so that both find the same


def contains(terms: list[Term]) -> RawSQL:
    """The condition that all terms stand in a message. Every term is a quoted string: nothing in it is an operator."""
    query = " AND ".join(f'"{" ".join(term.words)}"{" *" if term.is_prefix else ""}' for term in terms)
    return RawSQL(
        '"assistant_message"."id" IN (SELECT message FROM assistant_search_row WHERE id IN '
        "(SELECT rowid FROM assistant_search WHERE assistant_search MATCH %s))",
        [query],
        BooleanField(),
    )


_TABLES = [
    # FTS5 knows rows by a number, messages have none; and SQLite's own row numbers may change.
    "CREATE TABLE IF NOT EXISTS assistant_search_row (id INTEGER PRIMARY KEY, message char(32) NOT NULL UNIQUE)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS assistant_search "
    "USING fts5(content, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3 4')",
]

_IS_FOUND = "({0}.status IN ('success', 'error') OR ({0}.status = 'cancelled' AND {0}.role = 'assistant'))"
_FORGET = """
    DELETE FROM assistant_search WHERE rowid = (SELECT id FROM assistant_search_row WHERE message = OLD.id);
    DELETE FROM assistant_search_row WHERE message = OLD.id;
"""
_LEARN = f"""
    INSERT INTO assistant_search_row (message) SELECT NEW.id WHERE {_IS_FOUND.format("NEW")};
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
_REBUILD = [
    "DELETE FROM assistant_search",
    "DELETE FROM assistant_search_row",
    "INSERT INTO assistant_search_row (message) "
    f"SELECT id FROM assistant_message WHERE {_IS_FOUND.format('assistant_message')}",
    f"INSERT INTO assistant_search (rowid, content) SELECT r.id, substr(m.content, 1, {LONGEST_TEXT}) "
    "FROM assistant_search_row r JOIN assistant_message m ON m.id = r.message",
]


def install(connection: Any) -> bool:
    """Makes tables and triggers where they are missing, and then the index of what is there. True: something was made."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        if set(_TRIGGERS) <= {name for (name,) in cursor.fetchall()}:
            return False
        for statement in _TABLES:
            cursor.execute(statement)
        for name, body in _TRIGGERS.items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            cursor.execute(f"CREATE TRIGGER {name} {body}")
        for statement in _REBUILD:
            cursor.execute(statement)
    return True
