"""An empty database, as each test finds it, and each example of a test that makes up many."""

from __future__ import annotations

from django.db import connection, transaction

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def empty_tables() -> None:
    """Deletes every row that a test may have made. Foreign keys are checked at the commit, so the order doesn't matter."""
    tables = [table for table in connection.introspection.django_table_names() if table not in KEPT]
    with transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'DELETE FROM "{table}"')
