"""How static files are served."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable, MutableMapping
from functools import partial
from itertools import groupby
from typing import Any, cast

import brotli
import rcssmin
import rjsmin
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

_COMMENT = re.compile(r"\s*(//|/?\*)")


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
        coding = next((coding for coding in _PACKED if _takes(request, coding)), "")
        key = (f"{request.path} {response.get('ETag')}", coding)
        if key not in self._made:
            text = smaller(b"".join(cast(Any, response)).decode())
            self._made[key] = _PACKED[coding](text.encode()) if coding else text.encode()
        small = HttpResponse(self._made[key], headers=dict(response.items()))
        response.close()
        small["Content-Length"] = str(len(self._made[key]))
        if coding:
            small["Content-Encoding"] = coding
        patch_vary_headers(small, ["Accept-Encoding"])
        return small


def _takes(request: HttpRequest, coding: str) -> bool:
    accepted = request.headers.get("Accept-Encoding", "").lower()
    return bool(re.search(rf"\b{coding}\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted))


# By preference. (GZipMiddleware would pack for each request, with random bytes that hide the length of secrets.)
_PACKED: dict[str, Callable[[bytes], bytes]] = {
    "br": brotli.compress,
    "gzip": partial(gzip.compress, compresslevel=9, mtime=0),
}


def smaller_script(script: str) -> str:
    """A script without comments and spaces, but for the lines with a template, of which only the ends are trimmed.

    rjsmin takes the spaces out of a template within a template, which it can't tell from code. What stands between lines
    with templates is made small by itself; a test sees that no template goes over several lines.
    """
    parts: list[str] = []
    for has_template, lines in groupby(script.split("\n"), lambda line: "`" in line and not _COMMENT.match(line)):
        if has_template:
            parts += map(str.strip, lines)
        elif small := rjsmin.jsmin("\n".join(lines)).strip():
            parts.append(small)
    return "\n".join(parts) + "\n"


_SMALLER: dict[str, Callable[[str], str]] = {
    "text/javascript": smaller_script,
    "application/javascript": smaller_script,
    "text/css": rcssmin.cssmin,
}
