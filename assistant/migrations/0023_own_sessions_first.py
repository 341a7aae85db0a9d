"""The list of sessions begins with its person's own: see docs/decisions.md. The release before does without the index."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('assistant', '0022_suspects'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='chatsession',
            name='session_recent',
        ),
    ]
