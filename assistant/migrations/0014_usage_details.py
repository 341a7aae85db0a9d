from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("assistant", "0015_sources")]

    operations = [
        migrations.AddField(
            "usagerecord",
            "cached_tokens",
            models.PositiveIntegerField(db_default=0, default=0, help_text="Of the prompt: read from the provider's cache."),
        ),
        migrations.AddField(
            "usagerecord",
            "cache_write_tokens",
            models.PositiveIntegerField(db_default=0, default=0, help_text="Of the prompt: put into its cache."),
        ),
        migrations.AddField(
            "usagerecord",
            "reasoning_tokens",
            models.PositiveIntegerField(db_default=0, default=0, help_text="Of what was written: thinking."),
        ),
        migrations.AddField(
            "message",
            "cut",
            models.CharField(
                blank=True,
                choices=[("limit", "Limit")],
                db_default="",
                default="",
                help_text="A whole answer: what it ends at before its end.",
                max_length=10,
            ),
        ),
    ]
