from django.urls import path, re_path

from assistant.sockets.consumers import ListConsumer, NothingConsumer, ReaderConsumer, SessionConsumer

websocket_urlpatterns = [
    path("ws/sessions/", ListConsumer.as_asgi()),
    path("ws/sessions/<uuid:session_id>/", SessionConsumer.as_asgi()),
    path("ws/shared/<str:token>/", ReaderConsumer.as_asgi()),
    re_path(r"^ws/", NothingConsumer.as_asgi()),
]
