from django.urls import path

from assistant.consumers import ListConsumer, ReaderConsumer, SessionConsumer

websocket_urlpatterns = [
    path("ws/sessions/", ListConsumer.as_asgi()),
    path("ws/sessions/<uuid:session_id>/", SessionConsumer.as_asgi()),
    path("ws/shared/<str:token>/", ReaderConsumer.as_asgi()),
]
