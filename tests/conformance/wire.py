"""HTTP: encodings that nobody asked for, redirects, and how a connection ends."""

from __future__ import annotations

import gzip
import zlib

import brotli

from tests.conformance.case import Case, case, ended, said, sse
from tests.conformance.playing import Answer

BODY = sse(said("One"), said(" two"), ended())
TWO = {"text": "One two", "finish": "stop"}


def encoded(name: str, body: bytes) -> Answer:
    return Answer(body, headers=(("Content-Encoding", name),), end="chunked", cut=9)


def moved(status: int, where: str) -> Answer:
    return Answer(b"Moved", status, "text/plain", (("Location", where),), end="length")


CASES: list[Case] = [
    case("gzip", encoded("gzip", gzip.compress(BODY)), **TWO),
    case("deflate", encoded("deflate", zlib.compress(BODY)), **TWO),
    case("deflate without its head", encoded("deflate", zlib.compress(BODY)[2:-4]), **TWO),
    case("brotli", encoded("br", brotli.compress(BODY)), **TWO),
    case("identity, said twice", Answer(BODY, headers=(("Content-Encoding", "identity"),)), **TWO),
    case(
        "an encoding that nobody knows",
        Answer(b"\x00\x01", headers=(("Content-Encoding", "lzma"),)),
        error="provider_error",
        litellm_reads_otherwise="it reads the bytes as if they were text",
    ),
    case("gzip that is none", encoded("gzip", BODY), error="provider_error"),
    case("chunked", Answer(BODY, end="chunked", cut=5), **TWO),
    case("by its length", Answer(BODY, end="length"), **TWO),
    case("closed before its length, after the reason", Answer(BODY, end="short"), **TWO),
    case("reset after the reason", Answer(BODY, end="reset"), **TWO),
    case("closed before the last chunk, after the reason", Answer(BODY, end="unchunked"), **TWO),
    case(
        "closed in mid word",
        Answer(sse(said("One"), done=False), end="short"),
        text="One",
        error="provider_error",
        is_transient=True,
    ),
    case(
        "closed before the last chunk",
        Answer(sse(said("One"), done=False), end="unchunked"),
        text="One",
        error="provider_error",
        is_transient=True,
    ),
    case(
        "closed in mid event",
        Answer(sse(said("One"), done=False) + b'data: {"choices": [{"ind'),
        text="One",
        error="provider_error",
        litellm_reads_otherwise="it leaves the half event out, and says nothing",
    ),
    case("nothing but headers, and closed", Answer(b"", end="short"), error="provider_error", is_transient=True),
    case(
        "a header of 30 KB",
        Answer(BODY, headers=(("Content-Security-Policy", "x" * 30_000),)),
        **TWO,
        litellm_reads_otherwise="its client takes 8 KB",
    ),
    # --- redirects: the request is sent again as it was ---
    case("307", moved(307, "/elsewhere/v1/chat/completions"), Answer(BODY), **TWO, requests=2),
    case("308 to a whole address", moved(308, "{url}/elsewhere"), Answer(BODY), **TWO, requests=2),
    case(
        "301, which a browser would follow with GET",
        moved(301, "/elsewhere"),
        Answer(BODY),
        **TWO,
        requests=2,
        litellm_reads_otherwise="it asks by GET",
    ),
    case("302", moved(302, "/elsewhere"), Answer(BODY), **TWO, requests=2, litellm_reads_otherwise="it asks by GET"),
    case("twice", moved(307, "/a"), moved(308, "/b"), Answer(BODY), **TWO, requests=3),
    case(
        "for ever",
        moved(307, "/a"),
        error="provider_error",
        words=("redirect",),
        requests=5,
        litellm_reads_otherwise="it goes on longer",
    ),
    case("to nowhere", Answer(b"", 307, "text/plain", end="length"), error="provider_error", requests=1),
    case(
        "303 to a page",
        moved(303, "/login"),
        Answer(b"<html>Sign in</html>", kind="text/html"),
        error="provider_error",
        litellm_reads_otherwise="it asks by GET",
    ),
]
