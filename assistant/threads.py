"""Moved to `assistant.web.threads`. This path works until 1.0, for projects whose ASGI application imports it."""

from assistant.web.threads import KeptThreads as KeptThreads
