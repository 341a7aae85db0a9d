"""What a project needs to have the assistant in it, said by `manage.py check` and before each start. docs/embedding.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core import checks
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages
from django.db import connection
from django.db.models import BinaryField, CompositePrimaryKey
from django.template import engines
from django.urls import NoReverseMatch

from assistant import addresses, conf
from assistant.checks.naming import names
from assistant.files.upload_handler import UnnamedFileUploadHandler
from assistant.web.middleware import DatabaseAway

NEEDED_APPS = (
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.staticfiles",
    "channels", "django_q", "ninja",
)  # fmt: skip
NEEDED_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
NEEDED_PROCESSORS = ("django.template.context_processors.request", "django.contrib.auth.context_processors.auth")


def _error(number: int, text: str, hint: str | None = None) -> list[checks.CheckMessage]:
    return [checks.Error(text, hint=hint, id=f"assistant.E0{number}")]


@checks.register()
def redis_is_named(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    url = getattr(settings, "REDIS_URL", None)
    if isinstance(url, str) and url.startswith(("redis://", "rediss://", "unix://")):
        return []
    return _error(
        10,
        "REDIS_URL must be set to a redis://, rediss:// or unix:// address.",
        "The doorbell and live texts go there.",
    )


@checks.register()
def apps_are_installed(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    missing = [name for name in NEEDED_APPS if not apps.is_installed(name)]
    return _error(11, f"INSTALLED_APPS lacks {', '.join(missing)}.") if missing else []


@checks.register()
def middleware_is_there(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    there = list(settings.MIDDLEWARE)
    found: list[checks.CheckMessage] = []
    if missing := [name for name in NEEDED_MIDDLEWARE if name not in there]:
        found += _error(12, f"MIDDLEWARE lacks {', '.join(missing)}.")
    if not names(there, DatabaseAway):
        found.append(
            checks.Warning(
                "MIDDLEWARE lacks assistant.web.middleware.DatabaseAway.",
                hint="Put it first: without it a database that is away is a 500 with a traceback.",
                id="assistant.W001",
            )
        )
    return found


@checks.register()
def templates_know_the_user(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    for engine in engines.all():
        processors = getattr(getattr(engine, "engine", None), "context_processors", ())
        if getattr(engine, "app_dirs", False) and all(name in processors for name in NEEDED_PROCESSORS):
            return []
    return _error(13, "TEMPLATES needs a Django engine with APP_DIRS and the context processors request and auth.")


@checks.register()
def sqlite_transactions_are_immediate(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    options = connection.settings_dict.get("OPTIONS", {})
    if connection.vendor != "sqlite" or options.get("transaction_mode", "").upper() == "IMMEDIATE":
        return []
    return _error(
        14,
        'DATABASES["default"]["OPTIONS"] must set transaction_mode to "IMMEDIATE".',
        "SQLite has no row locks: the lock of the database, from a transaction's start, stands for the session's lock.",
    )


@checks.register()
def urls_are_included(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    try:
        addresses.home()
    except NoReverseMatch:
        return _error(
            15,
            "The URLs lack include('assistant.urls').",
            "At the root or under a prefix, as path('chat/', include('assistant.urls')); in no namespace, and without "
            "arguments in the prefix.",
        )
    return []


@checks.register()
def an_asgi_application_is_named(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    if getattr(settings, "ASGI_APPLICATION", None):
        return []
    return _error(
        16, "ASGI_APPLICATION must name an application that routes WebSockets to assistant.sockets.routing."
    )


@checks.register()
def users_can_be_known(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    user = get_user_model()
    lacks = []
    if not issubclass(user, AbstractBaseUser):
        lacks.append("AbstractBaseUser among its bases")
    if "is_active" not in {field.name for field in user._meta.get_fields()}:
        lacks.append("a field is_active")  # looked for in queries: whose account is closed sees and does nothing more
    if isinstance(user._meta.pk, (BinaryField, CompositePrimaryKey)):
        lacks.append("a key that can be written as a number or a text")
    if not lacks:
        return []
    return _error(19, f"AUTH_USER_MODEL, {user._meta.label}, lacks {', and '.join(lacks)}.")


@checks.register()
def files_have_a_storage(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    alias = conf.settings.attachment_storage
    try:
        storages[alias]
    except (InvalidStorageError, TypeError) as error:  # a TypeError: the setting is no text
        return _error(17, f"ASSISTANT_ATTACHMENT_STORAGE names no usable storage of STORAGES: {error}")
    if names(settings.FILE_UPLOAD_HANDLERS, UnnamedFileUploadHandler):
        return []
    return [
        checks.Warning(
            "FILE_UPLOAD_HANDLERS lacks assistant.files.upload_handler.UnnamedFileUploadHandler.",
            hint="Django's own handlers leave temporary files behind when a web process is killed.",
            id="assistant.W002",
        )
    ]


@checks.register()
def files_are_in_one_folder(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    try:
        storage = storages[conf.settings.attachment_storage]
    except (InvalidStorageError, TypeError):
        return []  # said above
    if not isinstance(storage, FileSystemStorage) or Path(storage.base_location).is_absolute():
        return []
    return [
        checks.Warning(
            "MEDIA_ROOT is empty or relative: attached files go into the folder in which a process happens to start.",
            hint="Set it to a whole path. A web server and a worker that start elsewhere don't find each other's files.",
            id="assistant.W004",
        )
    ]
