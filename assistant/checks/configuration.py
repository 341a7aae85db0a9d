"""Django system checks: what the app needs from a project's settings, said at the start and not at the first message."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connection

from assistant import conf
from assistant.checks.naming import names
from assistant.conf import validation
from assistant.delivery.queue import DoorbellBroker
from assistant.mcp import configured
from assistant.toolbox import registry
from assistant.tools.declare import WrongTools


@checks.register()
def queue_is_in_our_database(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    cluster = getattr(settings, "Q_CLUSTER", {})
    found: list[checks.CheckMessage] = []
    if not names([cluster.get("broker_class")], DoorbellBroker) or cluster.get("orm") != "default":
        found.append(
            checks.Error(
                "Q_CLUSTER must set broker_class to assistant.delivery.queue.DoorbellBroker and orm to 'default'.",
                hint="A question and its job are stored in one transaction; that needs one database.",
                id="assistant.E001",
            )
        )
    if cluster.get("sync"):
        found.append(
            checks.Error("Q_CLUSTER['sync'] can't be used: a turn needs a worker process.", id="assistant.E002")
        )
    return found


@checks.register()
def tools_can_be_had(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Each setting about tools names what there is."""
    if validation.wrong():
        return []  # said by `checks.setting_values`, and what follows would stumble over it
    try:
        registry.hook_of(conf.settings.user_context)
        from_file = configured.of_the_file()  # the database is not asked by a check
        missing = [name for name in registry.undeclared(conf.settings.services) if name not in from_file]
    except WrongTools as error:
        return [checks.Error(str(error), id="assistant.E004")]
    if missing:
        return [
            checks.Error(
                f"ASSISTANT_SERVICES: there is no service {missing[0]!r}.",
                hint=f"There are: {', '.join([*registry.services(), *from_file])}.",
                id="assistant.E004",
            )
        ]
    return []


@checks.register()
def channel_layer_reaches_other_processes(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    backend = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {}).get("BACKEND", "")
    if backend != "channels_redis.pubsub.RedisPubSubChannelLayer":
        return [
            checks.Error(
                "CHANNEL_LAYERS['default'] must be channels_redis.pubsub.RedisPubSubChannelLayer.",
                hint="The in-memory layer reaches no other process; the classic Redis layer drops frames when it is full.",
                id="assistant.E003",
            )
        ]
    return []


@checks.register()
def sqlite_can_search(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    if connection.vendor != "sqlite":
        return []
    with closing(sqlite3.connect(":memory:")) as probe:
        try:
            probe.execute("CREATE VIRTUAL TABLE probe USING fts5(content)")
        except sqlite3.OperationalError:
            return [
                checks.Error(
                    "This Python's SQLite was built without FTS5, which the search needs.",
                    hint="Use another build of Python, or set DATABASE_URL to a PostgreSQL.",
                    id="assistant.E005",
                )
            ]
    return []
