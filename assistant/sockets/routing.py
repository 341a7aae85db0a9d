"""The addresses of the sockets, under the prefix with which the project includes `assistant.urls`, if with one."""

from __future__ import annotations

import re
from typing import Any

from django.urls import path, re_path

from assistant import addresses
from assistant.sockets.consumers import ListConsumer, NothingConsumer, ReaderConsumer, SessionConsumer


def prefixes() -> list[str]:
    """Where they are listened for. Where a proxy has put the site under a path they come with it, or without."""
    return [home.removeprefix("/") for home in dict.fromkeys([addresses.home(), addresses.inner_home()])]


def _under(prefix: str) -> list[Any]:
    return [
        path(f"{prefix}ws/sessions/", ListConsumer.as_asgi()),
        path(f"{prefix}ws/sessions/<uuid:session_id>/", SessionConsumer.as_asgi()),
        path(f"{prefix}ws/shared/<str:token>/", ReaderConsumer.as_asgi()),
        re_path(f"^{re.escape(prefix)}ws/", NothingConsumer.as_asgi()),
    ]


websocket_urlpatterns = [pattern for prefix in prefixes() for pattern in _under(prefix)]
