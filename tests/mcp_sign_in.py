"""An MCP server that wants a sign-in, with the authorization server beside it: `python -m tests.mcp_sign_in PORT`.

Both are the package's own, so registration, PKCE, the redirect's address and the resource are checked as they should be;
the consent is given by itself. Refresh tokens are good for one use, and a second use ends the whole grant.
`POST /tests/expire` ends all access tokens, `/tests/end` all grants; `/tests/away?on=1` lets the token endpoint fail.
"""

from __future__ import annotations

import secrets
import sys
import time
from typing import Any

import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SCOPES = ["depot"]


class Office(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """The authorization server's memory."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.spent: set[str] = set()
        self.is_away = False
        self.counts = {"registrations": 0, "renewals": 0}

    async def get_client(self, client_id: str) -> Any:
        return self.clients.get(client_id)

    async def register_client(self, client_info: Any) -> None:
        self.counts["registrations"] += 1
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: Any, params: Any) -> str:
        code = secrets.token_urlsafe(32)
        self.codes[code] = AuthorizationCode(
            code=code, scopes=params.scopes or SCOPES, expires_at=time.time() + 60, client_id=client.client_id,
            code_challenge=params.code_challenge, redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly, resource=params.resource,
        )  # fmt: skip
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client: Any, authorization_code: str) -> Any:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client: Any, authorization_code: Any) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._granted(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> Any:
        if refresh_token in self.spent:  # stolen, for all that one knows
            self.refresh.clear()
            self.access.clear()
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client: Any, refresh_token: Any, scopes: list[str]) -> OAuthToken:
        if self.refresh.pop(refresh_token.token, None) is None:
            raise TokenError("invalid_grant")
        self.spent.add(refresh_token.token)
        self.counts["renewals"] += 1
        return self._granted(client.client_id, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> Any:
        return self.access.get(token)

    async def revoke_token(self, token: Any) -> None: ...

    def _granted(self, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.access[access] = AccessToken(token=access, client_id=client_id, scopes=scopes, resource=resource)
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes, resource=resource)
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=3600, scope=" ".join(scopes))


def made(port: int) -> Any:
    """The application."""
    office, base = Office(), f"http://127.0.0.1:{port}"
    server = MCPServer(
        "Vault",
        auth_server_provider=office,
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(base),
            resource_server_url=AnyHttpUrl(f"{base}/mcp"),
            required_scopes=SCOPES,
            validate_token_resource=True,
            client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=SCOPES),
        ),
    )

    @server.tool()
    def open_vault() -> str:
        """Opens it."""
        return "Open."

    @server.custom_route("/tests/{what}", methods=["POST"])
    async def tests(request: Request) -> Response:
        match request.path_params["what"]:
            case "expire":
                office.access.clear()
            case "end":
                office.access.clear()
                office.refresh.clear()
            case "away":
                office.is_away = request.query_params["on"] == "1"
        return JSONResponse(office.counts)

    application = server.streamable_http_app()

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if office.is_away and scope.get("path") == "/token":
            await Response(status_code=503)(scope, receive, send)
            return
        await application(scope, receive, send)

    return outer


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(made(port), host="127.0.0.1", port=port, log_level="error")
