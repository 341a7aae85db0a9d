"""How requests run, and what they are told when something is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.decorators import sync_only_middleware

from assistant import addresses, outage
from assistant.failures import sentence

logger = logging.getLogger(__name__)

SENTENCE = "The database is not reachable just now. Nothing is lost; try again in a moment."
NO_ROOM = "The server's disk is full, so nothing can be stored just now. Nothing is lost; try again in a while."
RETRY_AFTER_SECONDS = "5"


@sync_only_middleware
def one_thread(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """As the last of MIDDLEWARE it has all of them run in the view's thread, one after the other.

    Under ASGI Django otherwise takes each of its middlewares to a thread and back twice, which took longer than our views.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    return middleware


PROBLEMS = {
    404: ("not_found", "There is nothing here for you."),
    405: ("method_not_allowed", "This can't be done here; {docs} says what can."),
    500: ("internal", sentence("internal")),
}


@sync_only_middleware
def api_problems(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answers in the API's own form where a request never came to the API, or came to a fault of ours, not with a page."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not request.path.startswith(addresses.api("")) or response.status_code not in PROBLEMS:
            return response
        if not response["Content-Type"].startswith("application/json"):
            code, detail = PROBLEMS[response.status_code]
            response.content = JsonResponse(
                {"code": code, "detail": detail.format(docs=addresses.api("docs"))}
            ).content
            response["Content-Type"] = "application/json"
        return response

    return middleware


class DatabaseAway:
    """A database that is away is a 503 with a sentence, not a 500 with a traceback."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._get_response(request)
        except (OperationalError, InterfaceError) as error:
            return self._answer(request, error)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return self._answer(request, error) if isinstance(error, (OperationalError, InterfaceError)) else None

    def _answer(self, request: HttpRequest, error: Exception) -> HttpResponse:
        outage.note()
        logger.warning("The database is away for %s %s: %s", request.method, request.path, str(error).strip())
        # SQLite's SQLITE_FULL; PostgreSQL says "No space left on device".
        text = str(error)
        sentence = NO_ROOM if "disk is full" in text or "No space left" in text else SENTENCE
        response: HttpResponse
        if request.path.startswith(addresses.api("")):
            response = JsonResponse({"code": "unavailable", "detail": sentence}, status=503)
        else:
            response = HttpResponse(
                render_to_string("assistant/database_away.html", {"sentence": sentence}), status=503
            )
        response["Retry-After"] = RETRY_AFTER_SECONDS
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response
