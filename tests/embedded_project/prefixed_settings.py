"""The project with the assistant under a prefix, and with an API of its own at the root."""

from tests.embedded_project.settings import *  # noqa: F403
from tests.embedded_project.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE[:-1], "assistant.web.middleware.api_problems", MIDDLEWARE[-1]]
ROOT_URLCONF = "tests.embedded_project.prefixed"
