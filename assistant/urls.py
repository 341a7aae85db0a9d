from django.urls import include, path

from assistant import health
from assistant.api import api

urlpatterns = [
    path("api/", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("", include("assistant.page_urls")),
]
