"""Signing in with an MCP server's authorization server, in two steps, maybe of two processes; and renewing.

The package's own flow finds the authorization server and registers us with it (RFC 9728, 8414, 7591). It would then wait in
one piece for the person to come back; so it is left at that point, and goes on here with a PKCE verifier of our own.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AnyUrl, ValidationError

from assistant.extras import extra

with extra("mcp"):
    import httpx2
    from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError
    from mcp.client.auth.oauth2 import OAuthContext
    from mcp.client.auth.utils import validate_authorization_response_iss
    from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, OAuthToken

STEP_SECONDS = 15.0  # of one request
LONGEST_WORDS = 300

# What any server takes as the first message of a connection, if it wants no sign-in.
_HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "parley", "version": "1"},
    },
}
_HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


class NotConnected(Exception):
    """The message is a sentence for administrators. `is_final`: the same will not succeed later."""

    def __init__(self, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class Begun:
    """What is kept between the two steps: secret."""

    state: str
    verifier: str
    redirect_uri: str
    resource: str | None
    issuer_metadata: dict[str, Any]
    client: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was granted, and what it takes to renew it: secret."""

    access: str
    refresh: str | None
    token_endpoint: str
    resource: str | None
    client: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class _LeavesHere(Exception):
    """Raised where the package's flow would send a person away."""


class _OneClient:
    """Our registration with the authorization server, in the form of the package's storage; tokens are never there."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self.client = client

    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None: ...

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def begin(url: str, redirect_uri: str, known: dict[str, Any] | None = None) -> tuple[str, Begun]:
    """The address to which the administrator goes, and what `finish` needs. `known`: our registration from before.

    Raises NotConnected.
    """
    sent_to: list[str] = []

    async def leave(address: str) -> None:
        sent_to.append(address)
        raise _LeavesHere

    async def never() -> Any:
        raise AssertionError("it was left before")

    metadata = OAuthClientMetadata(
        client_name="Parley",
        redirect_uris=[AnyUrl(redirect_uri)],
        application_type="web" if redirect_uri.startswith("https://") else "native",
    )
    flow = OAuthClientProvider(url, metadata, _OneClient(_usable(known, redirect_uri)), leave, never)
    try:
        async with httpx2.AsyncClient(auth=flow, timeout=STEP_SECONDS) as http:
            response = await http.post(url, json=_HELLO, headers=_HEADERS)
    except _LeavesHere:
        return _started(sent_to[0], flow.context, redirect_uri)
    except (OAuthFlowError, OAuthRegistrationError) as error:
        raise NotConnected(_words(error)) from error
    except (httpx2.HTTPError, ValidationError) as error:
        raise NotConnected(f"The sign-in could not begin: {_words(error)}", is_final=False) from error
    if response.is_success:
        raise NotConnected("This server wants no sign-in: switch it off.")
    raise NotConnected(f"The server answered with the status {response.status_code} and asked for no sign-in.")


def _usable(known: dict[str, Any] | None, redirect_uri: str) -> OAuthClientInformationFull | None:
    """A registration that was made for another address of ours is none."""
    client = OAuthClientInformationFull.model_validate(known) if known else None
    is_ours = client is not None and redirect_uri in map(str, client.redirect_uris or ())
    return client if is_ours else None


def _started(address: str, context: OAuthContext, redirect_uri: str) -> tuple[str, Begun]:
    """With a state and a challenge of ours in place of those that were made for the package's own second half."""
    if context.oauth_metadata is None or context.client_info is None:
        raise NotConnected("The server's authorization server does not say where one signs in with it.")
    if urlsplit(address).scheme not in ("https", "http"):
        raise NotConnected("The authorization server has no page to sign in on.")
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    base, _, query = address.partition("?")
    asked = dict(parse_qsl(query)) | {"state": state, "code_challenge": challenge}
    resource = context.get_resource_url() if context.should_include_resource_param() else None
    begun = Begun(
        state,
        verifier,
        redirect_uri,
        asked.get("resource", resource),
        context.oauth_metadata.model_dump(mode="json", exclude_none=True),
        context.client_info.model_dump(mode="json", exclude_none=True),
    )
    return f"{base}?{urlencode(asked)}", begun


async def finish(begun: Begun, code: str, issuer: str | None) -> Tokens:
    """Changes the code for tokens. `issuer`: as the authorization server said with it. Raises NotConnected."""
    metadata = OAuthMetadata.model_validate(begun.issuer_metadata)
    try:
        validate_authorization_response_iss(issuer, metadata)
    except OAuthFlowError as error:
        raise NotConnected(_words(error)) from error
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": begun.redirect_uri,
        "code_verifier": begun.verifier,
    }
    return await _granted(asked, str(metadata.token_endpoint), begun.resource, begun.client, None)


async def renew(tokens: Tokens) -> Tokens:
    """Raises NotConnected; `is_final`: somebody has to sign in again."""
    if tokens.refresh is None:
        raise NotConnected("The sign-in has ended, and can't be renewed.")
    asked = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
    return await _granted(asked, tokens.token_endpoint, tokens.resource, tokens.client, tokens.refresh)


async def _granted(
    asked: dict[str, str], endpoint: str, resource: str | None, client: dict[str, Any], refresh: str | None
) -> Tokens:
    """`refresh` stays where the server gives no new one."""
    known = OAuthClientInformationFull.model_validate(client)
    context = OAuthContext(
        endpoint, OAuthClientMetadata(redirect_uris=[AnyUrl(endpoint)]), _OneClient(known), None, None
    )
    context.client_info = known
    data = asked | {"client_id": known.client_id} | ({"resource": resource} if resource else {})
    try:
        data, headers = context.prepare_token_auth(data, {})
        async with httpx2.AsyncClient(timeout=STEP_SECONDS) as http:
            response = await http.post(endpoint, data=data, headers=headers)
        if not response.is_success:
            is_final = 400 <= response.status_code < 500 and response.status_code not in (408, 429)
            raise NotConnected(
                f"No token was given ({response.status_code}): {_words(response.text)}", is_final=is_final
            )
        given = OAuthToken.model_validate_json(response.content)
    except (httpx2.HTTPError, ValidationError) as error:
        raise NotConnected(f"No token was given: {_words(error)}", is_final=False) from error
    return Tokens(given.access_token, given.refresh_token or refresh, endpoint, resource, client)


def _words(error: Exception | str) -> str:
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:LONGEST_WORDS]
