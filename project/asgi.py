"""What Daphne serves: Django over HTTP, the session's consumer over WebSocket."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
os.environ.setdefault("ASSISTANT_POOL_CONNECTIONS", "1")

from assistant.web.one_thread import get_asgi_application

http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402

from assistant.sockets.consumers import NothingConsumer  # noqa: E402
from assistant.sockets.routing import websocket_urlpatterns  # noqa: E402
from assistant.web.threads import KeptThreads  # noqa: E402

sockets = URLRouter([*websocket_urlpatterns, re_path("", NothingConsumer.as_asgi())])
application = ProtocolTypeRouter({"http": KeptThreads(http), "websocket": AuthMiddlewareStack(sockets)})
