from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models.signals import post_migrate, pre_delete


class AssistantConfig(AppConfig):
    name = "assistant"
    verbose_name = "Assistant"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        if not apps.is_installed("django_q"):  # its models are ours to use; without it nothing further can be loaded
            raise ImproperlyConfigured("The assistant needs django_q in INSTALLED_APPS. See docs/embedding.md.")
        # Not above: all of it builds on models, which are loaded after this module.
        from django_q.signals import post_spawn

        from assistant.checks import configuration, embedding, needed_extras, setting_values  # noqa: F401  registers the checks

        for model in apps.get_models():  # proxies too: a deletion is told of the class by which it is done
            if issubclass(model, get_user_model()):
                pre_delete.connect(_forget_person, sender=model, dispatch_uid="assistant.people")
        post_spawn.connect(_begin_work, dispatch_uid="assistant.worker.runner")
        post_migrate.connect(_install_search, sender=self, dispatch_uid="assistant.search")


def _forget_person(instance: Any, **kwargs: Any) -> None:
    """However an account is deleted, none of its sessions is left without an owner, or without anybody."""
    from assistant.lifecycle import people  # as in `ready`

    people.forget(instance)


def _begin_work(**kwargs: Any) -> None:
    """In a worker process of django-q2's, once it is forked. Web servers and commands never load what only workers need."""
    from assistant import tasks  # as in `ready`, and because of what it loads

    tasks.begin()


def _install_search(using: str, **kwargs: Any) -> None:
    """SQLite loses triggers where Django alters a table; see `assistant.search.sqlite`."""
    from assistant.search import sqlite  # as in `ready`

    connection = connections[using]
    if connection.vendor == "sqlite" and "assistant_message" in connection.introspection.table_names():
        sqlite.install(connection)
