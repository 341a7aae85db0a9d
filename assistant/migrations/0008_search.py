"""Full text search in PostgreSQL. (SQLite's is made after each migration, see assistant/search/sqlite.py.)"""

from django.db import migrations

from assistant.search import postgres


def make(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(postgres.HAS_ICU)
        collation = postgres.ICU if cursor.fetchone() else ""
    for statement in postgres.definitions(collation):
        schema_editor.execute(statement)


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in postgres.REMOVALS:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("assistant", "0007_people")]

    operations = [migrations.RunPython(make, remove)]
