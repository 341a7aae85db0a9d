"""Errors of the API that its schema doesn't know of are faults, wherever in the tests one is met."""

from __future__ import annotations

import functools
import re
from typing import Any

from django.http import HttpRequest

from assistant.api import api


@functools.cache
def schema() -> dict[str, Any]:
    return dict(api.get_openapi_schema())


def path_of(route: str) -> str:
    """The path in the schema of a Django route: `api/sessions/<session_id>` is `/api/sessions/{session_id}`."""
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def check_documented(request: HttpRequest, code: str, status: int) -> None:
    """Raises AssertionError for a problem with which, as the schema has it, this call doesn't answer."""
    assert request.resolver_match is not None
    operation = schema()["paths"][path_of(request.resolver_match.route)][str(request.method).lower()]
    codes = operation["responses"].get(status, {}).get("x-codes", ())
    assert code in codes, f"{operation['operationId']} answers {status} {code}, and its schema doesn't say so"
