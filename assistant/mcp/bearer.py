"""The token that a worker's requests to a server carry, renewed when the server refuses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from assistant.database import Database
from assistant.extras import extra
from assistant.mcp import grants, oauth

with extra("mcp"):
    import httpx2

logger = logging.getLogger(__name__)

RENEWAL_POLL_SECONDS = 0.2  # between two looks for what another process has renewed


class Bearer(httpx2.Auth):
    """Of one connection. `is_refused`: somebody has to sign in again before it is of any use."""

    def __init__(self, grant_id: int, database: Database) -> None:
        self.is_refused = False
        self._grant_id, self._database = grant_id, database
        self._access: str | None = None
        self._one_at_a_time = asyncio.Lock()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        if self._access is None:
            self._take(await self._database.call(grants.held, self._grant_id))
        sent = self._access
        self._sign(request)
        response = yield request
        if response.status_code == 401 and sent is not None:
            async with self._one_at_a_time:
                if self._access == sent and (held := await self._renewed(sent)):
                    self._take(held)
            if self._access not in (None, sent):
                self._sign(request)
                yield request

    def _sign(self, request: httpx2.Request) -> None:
        if self._access is not None:
            request.headers["Authorization"] = f"Bearer {self._access}"

    def _take(self, held: grants.Held) -> None:
        self._access = held.tokens["access"] if held.tokens else None
        self.is_refused = held.tokens is None

    async def _renewed(self, refused: str) -> grants.Held | None:
        """None: the authorization server is away for now, and the same may succeed later."""
        while (held := await self._database.call(grants.to_renew, self._grant_id, refused)) is None:
            await asyncio.sleep(RENEWAL_POLL_SECONDS)
        if not held.is_mine or held.tokens is None:
            return held
        try:
            tokens: dict[str, Any] = (await oauth.renew(oauth.Tokens(**held.tokens))).as_json()
        except oauth.NotConnected as problem:
            logger.warning("A sign-in with an MCP server could not be renewed: %s", problem)
            await self._database.call(grants.lose if problem.is_final else grants.give_up_renewing, self._grant_id)
            return grants.Held(None) if problem.is_final else None
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self._database.call(grants.give_up_renewing, self._grant_id)))
            raise
        await self._database.call(grants.keep, self._grant_id, tokens)
        return grants.Held(tokens)
