from django.urls import path

from assistant.consumers import ListConsumer, SessionConsumer

websocket_urlpatterns = [
    path("ws/sessions/", ListConsumer.as_asgi()),
    path("ws/sessions/<uuid:session_id>/", SessionConsumer.as_asgi()),
]
