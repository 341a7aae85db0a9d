import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.embedded_project.settings")

from assistant.web.one_thread import get_asgi_application

http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from assistant.sockets.routing import websocket_urlpatterns  # noqa: E402
from assistant.web.threads import KeptThreads  # noqa: E402

application = ProtocolTypeRouter(
    {"http": KeptThreads(http), "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns))}
)
