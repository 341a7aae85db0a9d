"""Full text search in PostgreSQL. (SQLite's is made after each migration, see assistant/search/sqlite.py.)"""

from django.db import migrations

LONGEST_TEXT = 100_000  # characters of a message that are searched: a tsvector has a limit of a megabyte

# As assistant/search/words.py separates words, when this was written.
SEPARATORS = (
    r"\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7"
    r"\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\ufe00-\ufe0f\uff00-\uff0f"
    r"\U0001f000-\U0001faff"
)
MARKS = r"\u0300-\u036f"

# It folds the case of all scripts, which the database's own collation need not.
HAS_ICU = "SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu' AND collencoding IN (-1, 6)"
ICU = ' COLLATE "und-x-icu"'

FUNCTION = rf"""
    CREATE FUNCTION assistant_plain(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT
    AS $$
      SELECT regexp_replace(
        regexp_replace(lower(normalize(left($1, {LONGEST_TEXT}), NFKD)<collation>), '[{MARKS}]', '', 'g'),
        '[{SEPARATORS}]+', ' ', 'g')
    $$
"""
# Empty as long as a message is being written: its checkpoints must not be indexed each second, and stay cheap (HOT)
# updates, for the indexed value does not change.
COLUMN = f"""
    ALTER TABLE assistant_message ADD COLUMN search tsvector GENERATED ALWAYS AS (
      CASE WHEN status IN ('success', 'error') OR (status = 'cancelled' AND role = 'assistant')
        THEN to_tsvector('simple', left(assistant_plain(content), {LONGEST_TEXT})) END
    ) STORED
"""
INDEX = "CREATE INDEX message_search ON assistant_message USING gin (search)"


def make(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(HAS_ICU)
        collation = ICU if cursor.fetchone() else ""
    for statement in (FUNCTION.replace("<collation>", collation), COLUMN, INDEX):
        schema_editor.execute(statement)


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE assistant_message DROP COLUMN search")
        schema_editor.execute("DROP FUNCTION assistant_plain(text)")


class Migration(migrations.Migration):
    dependencies = [("assistant", "0007_people")]

    operations = [migrations.RunPython(make, remove)]
