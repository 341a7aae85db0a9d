"""What rows are made with is the clock that all processes share. No table changes, so none is made anew (as SQLite would)."""

from django.db import migrations, models

import assistant.delivery.clock


class Migration(migrations.Migration):
    dependencies = [("assistant", "0020_decisions")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("attachment", "free_since", models.DateTimeField(blank=True, default=assistant.delivery.clock.now, help_text="Since when it belongs to no message.", null=True)),
                migrations.AlterField("message", "created_at", models.DateTimeField(default=assistant.delivery.clock.now, editable=False)),
                migrations.AlterField("toolcall", "created_at", models.DateTimeField(default=assistant.delivery.clock.now, editable=False)),
                migrations.AlterField("usagerecord", "created_at", models.DateTimeField(default=assistant.delivery.clock.now, editable=False)),
                migrations.AlterField("usagerecord", "day", models.DateField(default=assistant.delivery.clock.today)),
            ]
        )
    ]
