"""During a deployment the release before this one goes on writing into the tables that this one has changed."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from assistant.lifecycle import rounds
from assistant.lifecycle.text_columns import Written
from assistant.models import Attachment, Message, StoredFile, ToolCall, UsageRecord
from assistant.search import words
from tests.acting import answer_of, ask, claimed

pytestmark = pytest.mark.django_db(transaction=True)

RELEASED = "0011_mcp_servers"  # the last migration of that release


def test_the_release_before_can_add_rows(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c1", "look", "{}", "Look")])
    answer, call = Message.objects.answers().get(), ToolCall.objects.get()
    used = UsageRecord.objects.create(model="m", message=answer)
    file = Attachment.objects.create(file=StoredFile.objects.create(key="k", type="text/plain", size=1), name="a")
    released = MigrationLoader(None).project_state([("assistant", RELEASED)]).apps
    for row in (answer, call, used, file):
        columns = [field.column for field in released.get_model("assistant", row._meta.model_name)._meta.local_fields]
        _insert_again(row._meta.db_table, columns, row.pk)
        row.refresh_from_db()
    assert (answer.reasoning, answer.reasoning_seq, answer.cut, answer.pictures) == ("", 0, "", 0)
    assert (call.reasoning_at, call.reasoning_seconds, call.image_count) == (0, 0.0, 0)
    assert (used.cached_tokens, used.cache_write_tokens, used.reasoning_tokens, file.round) == (0, 0, 0, 0)


def test_postgresql_separates_words_as_a_search_does():
    """The migration carries its own copy, so that it makes the same on each day that it is run."""
    migration = importlib.import_module("assistant.migrations.0008_search")
    assert (migration.SEPARATORS, migration.MARKS) == (words.SEPARATORS, words.MARKS)


def _insert_again(table: str, columns: list[str], pk: Any) -> None:
    """The same row, of which only `columns` are named. Foreign keys are looked at when it is committed."""
    names = ", ".join(f'"{column}"' for column in columns)
    key = pk if connection.features.has_native_uuid_field else getattr(pk, "hex", pk)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'CREATE TEMPORARY TABLE kept AS SELECT {names} FROM "{table}" WHERE id = %s', [key])
        cursor.execute(f'DELETE FROM "{table}" WHERE id = %s', [key])
        cursor.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM kept')
        cursor.execute("DROP TABLE kept")
