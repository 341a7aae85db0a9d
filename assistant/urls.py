from django.urls import include, path

from assistant.api import api
from assistant.ops import health

urlpatterns = [
    path("api/", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("", include("assistant.pages.urls")),
]
