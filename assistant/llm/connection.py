"""HTTP to providers: one request, whose answer's headers have been read. Connections are kept open between calls."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import urllib.request
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from assistant.llm.credentials import WrongSetting, check_address, check_redirect
from assistant.llm.provider_error import ProviderError
from assistant.llm.reader import Reader

_KEPT_OPEN_SECONDS = 60.0
_MOST_REDIRECTS = 5
_LONGEST_HEADER = 64 * 1024  # what stands before a provider writes its policies into headers


@dataclass(frozen=True, slots=True)
class Request:
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]  # as it is sent
    reader: Callable[[], Reader]  # of what is answered
    model: str = ""  # by litellm's id, for what is learnt of it on the way


async def ask(request: Request, silence_seconds: float) -> aiohttp.ClientResponse:
    """The response, its headers read. Asks again if a kept connection turns out to have been closed meanwhile.

    Only then, and only if not a byte of an answer had come: the server had hung up before it read the question. Raises
    WrongSetting, ProviderError, TimeoutError, aiohttp.ClientError.
    """
    url = _checked(request)
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"} | dict(request.headers)
    for _ in range(_MOST_REDIRECTS):
        response = await _post(url, headers, _dumped(request.body), silence_seconds)
        if response.status not in (301, 302, 307, 308) or "Location" not in response.headers:
            return response
        onward = url.join(URL(response.headers["Location"]))
        response.close()
        check_redirect(str(url), str(onward))
        if onward.origin() != url.origin() and not _is_same_host_encrypted(url, onward):
            headers = {name: value for name, value in headers.items() if name.lower() in _FOR_ANYBODY}
        url = onward
    raise ProviderError(f"redirected more than {_MOST_REDIRECTS} times, at last to {url.origin()}", 502)


def _dumped(body: Mapping[str, Any]) -> bytes:
    """orjson refuses half of a character, which a provider may have sent and want back, or a tool's description hold."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


# What may be told to a port that nobody has configured; a key isn't among it.
_FOR_ANYBODY = ("content-type", "accept-encoding", "accept", "user-agent")


def _is_same_host_encrypted(url: URL, onward: URL) -> bool:
    return url.host == onward.host and onward.scheme == "https"


async def _post(url: URL, headers: Mapping[str, str], body: bytes, silence_seconds: float) -> aiohttp.ClientResponse:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence_seconds, sock_read=silence_seconds)
    while True:
        trace = _Trace()
        try:
            return await _session().post(
                url,
                data=body,
                headers=headers,
                timeout=timeout,
                proxy=_proxy_of(url),
                trace_request_ctx=trace,
                allow_redirects=False,
            )
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not trace.is_reused:
                raise


def _checked(request: Request) -> URL:
    for name, value in request.headers.items():
        if not value.isascii() or any(letter < " " or letter == "\x7f" for letter in value):
            raise WrongSetting(f"The header {name} holds a line end, or a letter that no header may hold.", "auth")
    check_address(request.url, "the provider's address")
    try:
        return URL(request.url)
    except ValueError as error:
        raise WrongSetting(f"The provider's address is none: {error}") from error


def _proxy_of(url: URL) -> str | None:
    """The environment's proxy (HTTPS_PROXY, NO_PROXY and their like); never for this machine's own addresses.

    aiohttp would read it too, and with it ~/.netrc, whose password would take the place of a provider's key.
    """
    host = url.host or ""
    if _is_this_machine(host) or _is_excepted(f"{host}:{url.port}"):
        return None
    proxies = urllib.request.getproxies_environment()
    return proxies.get(url.scheme) or proxies.get("all")


def is_reachable(request: Request) -> bool:
    """Whether nothing stands between but proxies of HTTP: aiohttp speaks no SOCKS."""
    proxy = _proxy_of(_checked(request))
    return proxy is None or proxy.startswith(("http://", "https://"))


def _is_excepted(host_and_port: str) -> bool:
    return bool(urllib.request.proxy_bypass(host_and_port))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def close() -> None:
    """Closes the connections that are kept open for the running loop."""
    if session := _sessions.pop(asyncio.get_running_loop(), None):
        await session.close()


_sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = weakref.WeakKeyDictionary()


def _session() -> aiohttp.ClientSession:
    """The running loop's connections, kept open between calls: to a provider far away a new one costs 100 ms and more."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None or session.closed:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_OPEN_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            trace_configs=[_noting_reuse()],
        )
        _sessions[loop] = session
    return session


@dataclass(slots=True)
class _Trace:
    is_reused: bool = False


def _noting_reuse() -> aiohttp.TraceConfig:
    async def note(session: aiohttp.ClientSession, context: Any, parameters: Any) -> None:
        context.trace_request_ctx.is_reused = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(note)
    return tracing
