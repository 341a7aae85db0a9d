"""A project of somebody's own, with no more than the assistant needs. docs/embedding.md explains each block."""

import os
from pathlib import Path

from assistant.conf import connections

DATA = Path(os.environ["EMBEDDED_DATA"])

SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "tests.embedded_project.urls"
ASGI_APPLICATION = "tests.embedded_project.asgi.application"
USE_TZ = True
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    # --- the assistant ---
    "channels",
    "django_q",
    "ninja",
    "assistant",
]

MIDDLEWARE = [
    "assistant.web.middleware.DatabaseAway",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "assistant.web.middleware.api_problems",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;",
        },
    }
}

# --- the assistant ---

REDIS_URL = os.environ["REDIS_URL"]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [connections.channel_host(REDIS_URL)], "prefix": "mine"},
    }
}
Q_CLUSTER = {
    "name": "mine",
    "orm": "default",
    "broker_class": "assistant.delivery.queue.DoorbellBroker",
    "workers": 1,
    "bulk": 1,
    "queue_limit": 1,
    "poll": 1,
    "timeout": 25,
    "retry": 30,
    "ack_failures": True,
    "max_attempts": 5,
    "save_limit": -1,
    "recycle": 2**31,
    "catch_up": False,
    "log_level": "WARNING",
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DATA / "media"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
FILE_UPLOAD_HANDLERS = ["assistant.files.upload_handler.UnnamedFileUploadHandler"]
LOGIN_URL = "assistant:login"
ASSISTANT_MODELS = [("Words", "openai/words"), ("Any", "openai/*")]
ASSISTANT_WORKERS = 1
