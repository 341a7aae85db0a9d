"""Moved to `assistant.web.middleware`. This path works until 1.0, for projects whose MIDDLEWARE names it."""

from assistant.web.middleware import DatabaseAway as DatabaseAway
from assistant.web.middleware import api_problems as api_problems
from assistant.web.middleware import one_thread as one_thread
