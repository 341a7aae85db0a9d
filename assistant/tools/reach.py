"""Fetching from the public Internet on behalf of strangers: never from the networks that this machine stands in.

A name is resolved once, every address it has must be public, and the connection goes to the address that was looked at:
a name that answers differently the second time gains nothing. Each redirect is looked at in the same way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

from assistant.tools.declare import ToolError

MOST_REDIRECTS = 5
LONGEST_URL = 2000
CONNECT_SECONDS = 10.0
READ_SECONDS = 15.0

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_6TO4 = ipaddress.ip_network("2002::/16")
_TEREDO = ipaddress.ip_network("2001::/32")

allowed_in_tests: set[tuple[str, int]] = set()
"""(address, port) pairs of the tests' own servers. Nothing but tests adds to it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    url: str  # where it came from in the end
    content_type: str
    body: bytes
    is_whole: bool  # False: there was more than the limit


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip in _6TO4 or ip in _TEREDO or ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


async def resolve(host: str, port: int) -> str:
    """An address of `host`, all of whose addresses are public. Raises ToolError."""
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ToolError(f"There is no host {host!r}.") from None
    addresses = [str(info[4][0]) for info in infos]
    if not addresses:
        raise ToolError(f"There is no host {host!r}.")
    for address in addresses:
        if not is_public(address) and (address, port) not in allowed_in_tests:
            raise ToolError(f"{host} is not on the public Internet; only public pages can be fetched.")
    return addresses[0]


class _ToLookedAtAddress(httpcore.AsyncNetworkBackend):
    """Connects to the address that `resolve` has looked at, in the moment of the connection."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        address = await resolve(host, port)
        return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *args: object, **kwargs: object) -> httpcore.AsyncNetworkStream:
        raise ToolError("Only http and https addresses can be fetched.")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def checked(url: str) -> str:
    """The address as it may be fetched. Raises ToolError."""
    url = url.strip()
    if len(url) > LONGEST_URL:
        raise ToolError("The address is too long.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ToolError("That is no address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ToolError("Only addresses that begin with http:// or https:// can be fetched.")
    if parts.username is not None or parts.password is not None:
        raise ToolError("An address with a name or password in it is not fetched.")
    if port is not None and port not in (80, 443, 8080, 8443) and not _is_allowed_in_tests(port):
        raise ToolError("Only the usual ports of web servers (80, 443, 8080, 8443) can be fetched from.")
    return url


def _is_allowed_in_tests(port: int) -> bool:
    return any(port == allowed for _, allowed in allowed_in_tests)


async def fetch(url: str, most_bytes: int) -> Fetched:
    """GETs a public address, following redirects. Raises ToolError with a sentence for whatever goes wrong."""
    url = checked(url)
    pool = httpcore.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(), network_backend=_ToLookedAtAddress(), max_keepalive_connections=0
    )
    async with pool:
        for _ in range(MOST_REDIRECTS + 1):
            try:
                found = await _once(pool, url, most_bytes)
            except httpcore.TimeoutException:
                raise ToolError("The server did not answer in time.") from None
            except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
                raise ToolError(f"The page could not be fetched ({type(error).__name__}).") from None
            if isinstance(found, Fetched):
                return found
            url = checked(urljoin(url, found))
    raise ToolError("The page redirects too often.")


# Packed bodies are not asked for and not taken: a small one can become a huge one while it is unpacked.
_HEADERS: dict[bytes | str, bytes | str] = {
    "User-Agent": "Parley (a person asked for this page)",
    "Accept": "text/html,text/*,application/json;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",
}


async def _once(pool: httpcore.AsyncConnectionPool, url: str, most_bytes: int) -> Fetched | str:
    """The page, or where it redirects to."""
    try:
        parts = httpx.URL(url)  # knows how names and paths beyond ASCII are written
    except httpx.InvalidURL:  # which is no ValueError
        raise ToolError("That is no address.") from None
    target = httpcore.URL(
        scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path or b"/"
    )
    timeouts = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": READ_SECONDS}
    async with pool.stream("GET", target, headers=_HEADERS, extensions={"timeout": timeouts}) as response:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in (301, 302, 303, 307, 308) and headers.get("location"):
            return headers["location"]
        if response.status != 200:
            raise ToolError(f"The server answered with the status {response.status}.")
        if headers.get("content-encoding", "identity") != "identity":
            raise ToolError("The server sent the page packed, though it was asked not to.")
        body = bytearray()
        async for part in response.aiter_stream():
            body += part
            if len(body) > most_bytes:
                return Fetched(url, headers.get("content-type", ""), bytes(body[:most_bytes]), is_whole=False)
        return Fetched(url, headers.get("content-type", ""), bytes(body), is_whole=True)
