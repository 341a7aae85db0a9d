from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path


def own_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("A page of the project's own.")


def own_api(request: HttpRequest) -> HttpResponse:
    raise Http404


urlpatterns = [
    path("", own_page),
    path("api/things", own_api),
    path("chat/", include("assistant.urls")),
]
