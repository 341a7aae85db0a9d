import django.db.models.deletion
from django.db import migrations, models

import assistant.models.ids


class Migration(migrations.Migration):

    dependencies = [
        ('assistant', '0014_usage_details'),
    ]

    operations = [
        migrations.CreateModel(
            name='ProviderState',
            fields=[
                ('id', models.UUIDField(default=assistant.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('round', models.PositiveIntegerField(help_text='Which round of the answer, from 1.')),
                ('model', models.TextField(blank=True, help_text='Whose round it is; empty where not all could be kept.')),
                ('kept', models.TextField(help_text='JSON: {"message": {...}, "calls": {place: {...}}}.')),
                ('message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='provider_states', to='assistant.message')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('message', 'round'), name='provider_state_once')],
            },
        ),
    ]
