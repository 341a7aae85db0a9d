"""Django's ASGI application, with all of a request in one thread and one way there and back.

Django's own runs its middlewares in a thread, comes back to the event loop for the view, and goes to the thread again: for
each request two changes of threads more, which take longer than most of our views. Views that are coroutines still work:
each has a loop of its own.
"""

from __future__ import annotations

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """As its parent, but the chain of middlewares is made as under WSGI, and run as a whole."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


def get_asgi_application() -> OneThreadHandler:
    """In the place of django.core.asgi's."""
    django.setup(set_prefix=False)
    return OneThreadHandler()
