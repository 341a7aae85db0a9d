from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def own_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("A page of the project's own.")


urlpatterns = [
    path("", own_page),  # the project keeps its own home: the first match counts
    path("", include("assistant.urls")),
]
