
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assistant', '0011_mcp_servers'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='reasoning',
            field=models.TextField(blank=True, db_default='', default='', help_text='What the model thought; a million characters at most.'),
        ),
        migrations.AddField(
            model_name='message',
            name='reasoning_salvage',
            field=models.JSONField(blank=True, help_text='What was thought for `salvage`: {"content", "seconds"}.', null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='reasoning_seconds',
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='reasoning_seq',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='The same of `reasoning`.'),
        ),
        migrations.AddField(
            model_name='message',
            name='reasoning_tokens',
            field=models.PositiveIntegerField(blank=True, help_text='Of all its requests, as far as the provider has told them.', null=True),
        ),
        migrations.AddField(
            model_name='toolcall',
            name='reasoning_at',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='The same of its reasoning.'),
        ),
        migrations.AddField(
            model_name='toolcall',
            name='reasoning_seconds',
            field=models.FloatField(db_default=0.0, default=0.0, help_text='How long was thought before it.'),
        ),
    ]
