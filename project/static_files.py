"""How static files are served."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import brotli
import rcssmin
import rjsmin
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers


def weak_etag(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Gives a file an ETag that is weak from the start.

    GZipMiddleware makes a strong one weak, and WhiteNoise, comparing letter by letter, would then never know its own
    tag again: every page would load every file anew.
    """
    found = os.stat(path)
    headers["ETag"] = f'W/"{found.st_mtime_ns:x}-{found.st_size:x}"'


class SmallFiles:
    """Middleware: scripts and styles are sent without comments and spaces, and compressed, each made once.

    What is in the folders is what people read and debug; a build step would be one more thing to keep in step.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._made: dict[tuple[str, str], bytes] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if response.status_code != 200 or not request.path.startswith(settings.STATIC_URL):
            return response
        smaller = _SMALLER.get(response.get("Content-Type", "").partition(";")[0])
        if smaller is None or request.method != "GET" or request.headers.get("Range"):
            return response
        coding = "br" if re.search(r"\bbr\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", _accepted(request)) else "identity"
        key = (f"{request.path} {response.get('ETag')}", coding)
        if key not in self._made:
            text = smaller(b"".join(cast(Any, response)).decode())
            self._made[key] = brotli.compress(text.encode()) if coding == "br" else text.encode()
        small = HttpResponse(self._made[key], headers=dict(response.items()))
        response.close()
        small["Content-Length"] = str(len(self._made[key]))
        if coding == "br":
            small["Content-Encoding"] = coding
        patch_vary_headers(small, ["Accept-Encoding"])
        return small


def _accepted(request: HttpRequest) -> str:
    return request.headers.get("Accept-Encoding", "").lower()


_SMALLER: dict[str, Callable[[str], str]] = {
    "text/javascript": rjsmin.jsmin,
    "application/javascript": rjsmin.jsmin,
    "text/css": rcssmin.cssmin,
}
