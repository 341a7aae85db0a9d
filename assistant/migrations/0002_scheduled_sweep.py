"""The last net under the workers' own sweeps: django-q2 itself runs one every few minutes. Made once."""

from django.db import migrations

NAME = "assistant: sweep"


def create(apps, schema_editor):
    schedule = apps.get_model("django_q", "Schedule")
    schedule.objects.get_or_create(
        name=NAME, defaults={"func": "assistant.tasks.sweep", "schedule_type": "I", "minutes": 5, "repeats": -1}
    )


def delete(apps, schema_editor):
    apps.get_model("django_q", "Schedule").objects.filter(name=NAME).delete()


class Migration(migrations.Migration):
    dependencies = [("assistant", "0001_initial"), ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]
    operations = [migrations.RunPython(create, delete)]
