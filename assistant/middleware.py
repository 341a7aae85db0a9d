"""A database that is away is a 503 with a sentence, not a 500 with a traceback."""

from __future__ import annotations

from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

SENTENCE = "The database is not reachable just now. Nothing is lost; try again in a moment."
RETRY_AFTER_SECONDS = "5"


class DatabaseAway:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._get_response(request)
        except (OperationalError, InterfaceError):
            return self._answer(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return self._answer(request) if isinstance(error, (OperationalError, InterfaceError)) else None

    def _answer(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse
        if request.path.startswith("/api/"):
            response = JsonResponse({"code": "unavailable", "detail": SENTENCE}, status=503)
        else:
            response = HttpResponse(render_to_string("503.html", {"sentence": SENTENCE}), status=503)
        response["Retry-After"] = RETRY_AFTER_SECONDS
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response
