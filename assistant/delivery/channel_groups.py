"""How the channel layer publishes to a group, for who publishes together with something else.

The layer is channels_redis' for pub/sub: one PUBLISH to a channel that is named after the group. Its name is the one thing
here that channels_redis doesn't document; a test compares it with what the layer itself does.
"""

from __future__ import annotations

from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from assistant.delivery.valkey import Command

Publication = tuple[str, bytes]  # the channel, and what is published to it


def publication(group: str, event: dict[str, Any]) -> Publication | None:
    """What `group_send` would publish; None if the layer's server is not the one at REDIS_URL, or it has several."""
    layer: Any = get_channel_layer()
    if not _is_at_our_server():
        return None
    return f"{layer.prefix}__group__{group}", layer.serialize(event)


def publish(what: Publication) -> Command:
    return Command(("PUBLISH", *what))


def _is_at_our_server() -> bool:
    layers: dict[str, Any] = settings.CHANNEL_LAYERS
    hosts = layers["default"].get("CONFIG", {}).get("hosts", ())
    if len(hosts) != 1:
        return False
    address = hosts[0].get("address") if isinstance(hosts[0], dict) else hosts[0]
    return bool(address == settings.REDIS_URL)
