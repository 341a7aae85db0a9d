"""Moved to `assistant.sockets.routing`. This path works until 1.0, for projects whose ASGI application imports it."""

from assistant.sockets.routing import websocket_urlpatterns as websocket_urlpatterns
