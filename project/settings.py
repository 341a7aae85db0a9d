"""Django's settings, read from the environment. Importing this module does nothing but read (and make the data dir)."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from redis.connection import parse_url

from assistant.processes.embedded_valkey import socket_path
from project import env
from project.static_files import weak_etag

BASE_DIR = Path(__file__).resolve().parent.parent
ASSISTANT_DATA_DIR = env.data_dir("ASSISTANT_DATA_DIR", BASE_DIR / "var")

ASSISTANT_MEDIA_DIR = env.data_dir("ASSISTANT_MEDIA_DIR", ASSISTANT_DATA_DIR / "media")
SECRET_KEY = env.secret_key("SECRET_KEY", ASSISTANT_DATA_DIR)
DEBUG = env.flag("DEBUG")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [])
for _origin in CSRF_TRUSTED_ORIGINS:
    if not _origin.startswith(("http://", "https://")):
        raise ImproperlyConfigured(f"CSRF_TRUSTED_ORIGINS: {_origin!r} must begin with http:// or https://.")

INSTALLED_APPS = [
    "daphne",
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
    "assistant.web.middleware.one_thread",
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
    "DATABASE_URL", ASSISTANT_DATA_DIR, pooled=bool(os.environ.get("ASSISTANT_POOL_CONNECTIONS"))
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
            "location": ASSISTANT_MEDIA_DIR,
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
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SECURE_COOKIES")
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

REDIS_URL = env.text("REDIS_URL") or f"unix://{socket_path(ASSISTANT_DATA_DIR)}"
if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
try:
    parse_url(REDIS_URL)  # type: ignore[no-untyped-call]
except ValueError as error:
    raise ImproperlyConfigured(f"REDIS_URL can't be read as the address of a server ({error}).") from error
ASSISTANT_EMBEDDED_VALKEY = not env.text("REDIS_URL")

ASSISTANT_MODELS = env.models("ASSISTANT_MODELS")
ASSISTANT_FAST_LANE = env.flag("ASSISTANT_FAST_LANE", default=True)
ASSISTANT_TIMEOUT = env.number("ASSISTANT_TIMEOUT", 60, least=0.1)
ASSISTANT_DEADLINE = env.number("ASSISTANT_DEADLINE", 600, least=0.1)
ASSISTANT_RETRIES = env.number("ASSISTANT_RETRIES", 2, least=0, whole=True)
ASSISTANT_FALLBACK_MODELS = env.words("ASSISTANT_FALLBACK_MODELS", [])
ASSISTANT_ESCALATION_MODEL = env.text("ASSISTANT_ESCALATION_MODEL")
ASSISTANT_WORKERS = env.number("ASSISTANT_WORKERS", 2, least=1, whole=True)
ASSISTANT_CONCURRENCY = env.number("ASSISTANT_CONCURRENCY", 200, least=1, whole=True)
ASSISTANT_HEARTBEAT = env.number("ASSISTANT_HEARTBEAT", 2, least=0.1)
ASSISTANT_LEASE = env.number("ASSISTANT_LEASE", 10, least=0.3)
ASSISTANT_MAX_ATTEMPTS = env.number("ASSISTANT_MAX_ATTEMPTS", 3, least=1, whole=True)
ASSISTANT_GRACE = env.number("ASSISTANT_GRACE", 5, least=0)
ASSISTANT_MAX_LENGTH = env.number("ASSISTANT_MAX_LENGTH", 10_000, least=1, whole=True)
ASSISTANT_SYSTEM_PROMPT = env.text("ASSISTANT_SYSTEM_PROMPT")
ASSISTANT_VISION_MODELS = env.words("ASSISTANT_VISION_MODELS", [])
ASSISTANT_ATTACHMENT_MAX_MB = env.number("ASSISTANT_ATTACHMENT_MAX_MB", 20, least=0.001)
ASSISTANT_ATTACHMENT_MAX_COUNT = env.number("ASSISTANT_ATTACHMENT_MAX_COUNT", 10, least=0, whole=True)
ASSISTANT_ATTACHMENT_MAX_TEXT = env.number("ASSISTANT_ATTACHMENT_MAX_TEXT", 100_000, least=1, whole=True)
ASSISTANT_ATTACHMENT_TYPES = env.some_of(
    "ASSISTANT_ATTACHMENT_TYPES",
    ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain"),
)
ASSISTANT_ATTACHMENT_USER_QUOTA_MB = env.number("ASSISTANT_ATTACHMENT_USER_QUOTA_MB", 2_000, least=0)
ASSISTANT_ATTACHMENT_SESSION_QUOTA_MB = env.number("ASSISTANT_ATTACHMENT_SESSION_QUOTA_MB", 1_000, least=0)
ASSISTANT_ATTACHMENT_KEEP_HOURS = env.number("ASSISTANT_ATTACHMENT_KEEP_HOURS", 24, least=0.01)
FILE_UPLOAD_HANDLERS = ["assistant.files.upload_handler.UnnamedFileUploadHandler"]
ASSISTANT_BUDGET_TOKENS = env.number("ASSISTANT_BUDGET_TOKENS", 0, least=0, whole=True)
ASSISTANT_BUDGET_COST = env.number("ASSISTANT_BUDGET_COST", 0, least=0)
ASSISTANT_PRICES = env.prices("ASSISTANT_PRICES")
ASSISTANT_RATE_LIMIT = env.number("ASSISTANT_RATE_LIMIT", 30, least=0, whole=True)
ASSISTANT_UPLOAD_RATE = env.number("ASSISTANT_UPLOAD_RATE", 60, least=0, whole=True)
ASSISTANT_SIGN_IN_RATE = env.number("ASSISTANT_SIGN_IN_RATE", 10, least=0, whole=True)
ASSISTANT_BEHIND_PROXY = env.flag("ASSISTANT_BEHIND_PROXY")
ASSISTANT_TOOLS = env.words(
    "ASSISTANT_TOOLS",
    ["assistant.tools.clock", "assistant.tools.calculator", "assistant.tools.recall", "assistant.tools.web"],
)
ASSISTANT_MCP = env.text("ASSISTANT_MCP")
ASSISTANT_SERVICES = env.words("ASSISTANT_SERVICES", [])
ASSISTANT_USER_CONTEXT = env.text("ASSISTANT_USER_CONTEXT")
ASSISTANT_ROUNDS = env.number("ASSISTANT_ROUNDS", 8, least=1, whole=True)
ASSISTANT_SLICE = env.number("ASSISTANT_SLICE", ASSISTANT_DEADLINE / 2, least=0.1)
ASSISTANT_CONTINUATIONS = env.number("ASSISTANT_CONTINUATIONS", 5, least=0, whole=True)
ASSISTANT_HISTORY_TOKENS = env.number("ASSISTANT_HISTORY_TOKENS", 100_000, least=1_000, whole=True)
ASSISTANT_PRESENCE = env.number("ASSISTANT_PRESENCE", 30, least=1)
ASSISTANT_SHARE_READERS = env.number("ASSISTANT_SHARE_READERS", 100, least=0, whole=True)
ASSISTANT_SHARE_RATE = env.number("ASSISTANT_SHARE_RATE", 600, least=1, whole=True)
ASSISTANT_TITLES = env.flag("ASSISTANT_TITLES", True)
ASSISTANT_SIGNUP = env.choice("ASSISTANT_SIGNUP", "closed", ("open", "closed"))
if ASSISTANT_LEASE < 3 * ASSISTANT_HEARTBEAT:
    raise ImproperlyConfigured(
        f"ASSISTANT_LEASE ({ASSISTANT_LEASE:g} s) must be at least three times ASSISTANT_HEARTBEAT "
        f"({ASSISTANT_HEARTBEAT:g} s), or one late heartbeat would look like a death."
    )

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 3}], "prefix": "parley"},
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

if _dsn := env.text("SENTRY_DSN"):
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
        "assistant": {"level": env.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")).upper()},
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
