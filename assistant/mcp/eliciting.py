"""Whom a server asks when it wants to know something from people: those in whose session the call is being made.

Over HTTP, and since the protocol of 2026 everywhere, a question comes in the context of its call. Before that a program's
question over its pipe belongs to no call: then it is the only one that is being made, or nobody's, for it must not be put
before the people of another session.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from assistant.tools.declare import Context
from assistant.tools.form import Form, Unusable, form_of, link_of

logger = logging.getLogger(__name__)

_caller: ContextVar[Context | None] = ContextVar("caller", default=None)


class Callers:
    """The calls that are being made over one connection."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._present: list[Context] = []
        self.is_alone_needed = False  # it asks without saying for which call

    def __len__(self) -> int:
        return len(self._present)

    @contextmanager
    def calling(self, context: Context) -> Iterator[None]:
        self._present.append(context)
        token = _caller.set(context)
        try:
            yield
        finally:
            _caller.reset(token)
            self._present.remove(context)

    async def elicit(self, context: Any, params: Any) -> Any:
        """For `mcp.Client`: an ElicitResult, or ErrorData for what can't be asked."""
        import mcp_types  # of the extra `mcp`, which whoever asks has brought

        caller = self._whose()
        if caller is None:
            logger.warning("MCP server %s asks, and it can't be told for which call. Nobody is asked.", self._server)
            return mcp_types.ElicitResult(action="cancel")
        try:
            form = _form(params)
        except Unusable as problem:
            return mcp_types.ErrorData(code=mcp_types.INVALID_PARAMS, message=str(problem))
        filled = await caller.ask(form)
        has_content = filled.action == "accept" and not form.url
        return mcp_types.ElicitResult(action=filled.action, content=dict(filled.content) if has_content else None)

    def _whose(self) -> Context | None:
        context = _caller.get()
        if context is None:
            self.is_alone_needed = True
            context = self._present[0] if len(self._present) == 1 else None
        return context


def _form(parameters: Any) -> Form:
    """Raises Unusable."""
    if parameters.mode == "url":
        return link_of(parameters.message, parameters.url)
    return form_of(parameters.message, parameters.requested_schema)
