"""The project with users of its own, whose keys are texts, and with the admin."""

from tests.embedded_project.settings import *  # noqa: F403
from tests.embedded_project.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

INSTALLED_APPS = [
    *INSTALLED_APPS, "tests.embedded_project.members", "django.contrib.messages", "django.contrib.admin",
]  # fmt: skip
MIDDLEWARE = [*MIDDLEWARE[:-1], "django.contrib.messages.middleware.MessageMiddleware", MIDDLEWARE[-1]]
TEMPLATES[0] |= {
    "OPTIONS": {
        "context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]
    }
}
ROOT_URLCONF = "tests.embedded_project.text_urls"
AUTH_USER_MODEL = "members.Member"
