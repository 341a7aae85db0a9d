"""The HTTP API under /api/. Doors only: authenticate, parse, call one verb, answer."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError

from assistant.api.authentication import Bearer, SessionCookie
from assistant.api.openapi import DocumentedAPI
from assistant.lifecycle.refusal import Refused

api = DocumentedAPI(
    title="Parley",
    version="1",
    description="Sessions in which several people talk with an AI. What happens live comes over /ws/sessions/{id}/.",
    auth=[Bearer(), SessionCookie()],
    urls_namespace="assistant-api",  # "api" is many a project's own
)


def answer(request: HttpRequest, code: str, detail: str, status: int) -> HttpResponse:
    return api.create_response(request, {"code": code, "detail": detail}, status=status)


@api.exception_handler(Refused)
def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    response = answer(request, error.code, error.detail, error.status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


@api.exception_handler(AuthenticationError)
def not_signed_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return answer(request, "not_signed_in", "Sign in, or send Authorization: Bearer TOKEN.", 401)


@api.exception_handler(Http404)
@api.exception_handler(ObjectDoesNotExist)  # deleted between two looks at it
def not_found(request: HttpRequest, error: Exception) -> HttpResponse:
    return answer(request, "not_found", "There is nothing here for you.", 404)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first: dict[str, Any] = error.errors[0] if error.errors else {"loc": ["body"], "msg": "is invalid"}
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "payload", "query", "path"))
    return answer(request, "invalid", f"{where or 'body'}: {first['msg']}.", 422)


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code = {400: "bad_request", 403: "forbidden"}.get(error.status_code, "error")
    # What can't be read as JSON at all is bad input like any other.
    status = 422 if error.status_code == 400 else error.status_code
    return answer(request, "invalid" if status == 422 else code, f"{error}.".replace("..", "."), status)


@api.exception_handler(RequestDataTooBig)
def too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return answer(request, "too_big", "The request is too big.", 413)


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    raise error  # for the middleware, which answers it wherever it comes from


from assistant.api import (  # noqa: E402
    attachments,
    invitations,
    keeping,
    messages,
    participants,
    reading,
    search,
    sessions,
    sharing,
    tools,
    usage,
)

api.add_router("/", sessions.router, tags=["sessions"])
api.add_router("/", messages.router, tags=["messages"])
api.add_router("/", attachments.router, tags=["attachments"])
api.add_router("/", participants.router, tags=["people"])
api.add_router("/", usage.router, tags=["usage"])
api.add_router("/", sharing.router, tags=["sharing"])
api.add_router("/", reading.router, tags=["sharing"])
api.add_router("/", invitations.router, tags=["invitations"])
api.add_router("/", keeping.router, tags=["keeping"])
api.add_router("/", search.router, tags=["search"])
api.add_router("/", tools.router, tags=["tools"])
