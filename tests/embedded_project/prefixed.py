"""URLs as a check refuses them: behind a prefix."""

from django.urls import include, path

urlpatterns = [path("chat/", include("assistant.urls"))]
