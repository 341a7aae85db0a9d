"""Django's settings, read from the environment. Importing this module does nothing but read (and make the data dir)."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from redis.connection import parse_url

from assistant.conf import Settings, connections, environment, of
from assistant.conf.validation import contradiction
from assistant.processes.embedded_valkey import socket_path
from project import env
from project.static_files import weak_etag
from project.variables import Variables

BASE_DIR = Path(__file__).resolve().parent.parent
ASSISTANT_DATA_DIR = env.folder_of(Variables.assistant_data_dir, BASE_DIR / "var")
_media_dir = env.folder_of(Variables.assistant_media_dir, ASSISTANT_DATA_DIR / "media")

SECRET_KEY = Variables.secret_key.read() or env.secret_key(ASSISTANT_DATA_DIR)
DEBUG = Variables.debug.read()
ALLOWED_HOSTS = list(Variables.allowed_hosts.read())
CSRF_TRUSTED_ORIGINS = list(Variables.csrf_trusted_origins.read())
for _origin in CSRF_TRUSTED_ORIGINS:
    if not _origin.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"CSRF_TRUSTED_ORIGINS: {_origin!r} must begin with http:// or https://.")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_q",
    "ninja",
    "assistant",
]

MIDDLEWARE = [
    "assistant.web.middleware.DatabaseAway",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "project.static_files.SmallFiles",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "assistant.web.middleware.api_problems",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],  # the error pages: an app's would become its host's
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The web server has many threads, so on PostgreSQL it pools; everywhere else a thread keeps its connection.
_database = env.database(
    Variables.database_url.read(), ASSISTANT_DATA_DIR, pooled=Variables.assistant_pool_connections.read()
)
DATABASES = {"default": _database | {"CONN_MAX_AGE": 0 if "pool" in _database["OPTIONS"] else None}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "assistant:login"
LOGIN_REDIRECT_URL = "assistant:home"
LOGOUT_REDIRECT_URL = "assistant:login"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STORAGES = {
    # What people attach. Never served from here: only through the API, which knows who may read it.
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": _media_dir,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Files are served from the apps that hold them and revalidated on each use: no collectstatic, no stale script.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0
WHITENOISE_ADD_HEADERS_FUNCTION = weak_etag

# Behind a proxy that ends TLS: SECURE_COOKIES=on. On plain http://127.0.0.1 secure cookies would never arrive.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = Variables.secure_cookies.read()
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        # No images from elsewhere: a text that somebody slipped in could send what it has read along in an image's address.
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- the assistant -------------------------------------------------------------------------------------------------

REDIS_URL = Variables.redis_url.read() or f"unix://{socket_path(ASSISTANT_DATA_DIR)}"
if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
try:
    parse_url(REDIS_URL)  # type: ignore[no-untyped-call]
except ValueError as error:
    raise ImproperlyConfigured(f"REDIS_URL can't be read as the address of a server ({error}).") from error
ASSISTANT_EMBEDDED_VALKEY = not Variables.redis_url.read()

# Every other ASSISTANT_ setting: assistant/conf has them one a line.
globals().update(environment.given(but=[variable.name for variable in of(Variables)]))
if _clash := contradiction(Settings.lease.read(), Settings.heartbeat.read()):
    raise ImproperlyConfigured(_clash)
FILE_UPLOAD_HANDLERS = ["assistant.files.upload_handler.UnnamedFileUploadHandler"]

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [connections.channel_host(REDIS_URL)], "prefix": "parley"},
    }
}

# Why each value: docs/decisions.md, "django-q2's settings".
Q_CLUSTER = {
    "name": "parley",
    "label": "Queue",
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

if _dsn := Variables.sentry_dsn.read():
    import sentry_sdk

    from assistant.ops.log_redaction import scrubbed

    try:
        # Errors only, by default without who it was; and without local variables and bodies, which may hold texts and keys.
        sentry_sdk.init(
            dsn=_dsn,
            include_local_variables=False,
            max_request_body_size="never",
            before_send=scrubbed,
        )
    except sentry_sdk.utils.BadDsn as error:
        raise ImproperlyConfigured(
            f"SENTRY_DSN can't be read as the address of a Sentry project ({error})."
        ) from error

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:<7} {processName:.12s}[{process}] {name}: {message}", "style": "{"}
    },
    "filters": {"links": {"()": "assistant.ops.log_redaction.WithoutTokens"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["links"]}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "assistant": {"level": Variables.log_level.read().upper()},
        "django-q": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "LiteLLM": {"level": "ERROR"},
        # A traceback for each line of a server that is no message; `assistant.mcp` says in a line why one is away.
        "mcp": {"level": "CRITICAL"},
        "client": {"level": "CRITICAL"},
        # Each second a traceback while Redis is away; `assistant` says it in a line.
        "channels_redis": {"level": "CRITICAL"},
        # Any stranger can cause these: an answer, not an event.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.security.RequestDataTooBig": {"level": "CRITICAL"},
    },
}
