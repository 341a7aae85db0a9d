from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from ninja import Router

from assistant.api import schemas
from assistant.api.authentication import user_of
from assistant.api.authorisation import WRITERS, message_for
from assistant.api.problems import refuses
from assistant.lifecycle import approving, form_filling
from assistant.mcp import configured
from assistant.models import ToolCall
from assistant.presentation import wire
from assistant.toolbox import registry

router = Router()


@router.get(
    "/tools", response=schemas.Services, summary="The services that a session can switch on, with their tools"
)
def list_tools(request: HttpRequest) -> Any:
    ours = [_shown(service) for service in registry.services().values()]
    return {"services": ours + [_shown_server(server) for server in configured.servers().values()]}


@router.post("/tool-calls/{call_id}/approve", response=schemas.Message, summary="Allow a call that waits for it")
@refuses("409 already_decided", "422 invalid_arguments")
def approve_tool_call(request: HttpRequest, call_id: UUID, given: schemas.Allowed | None = None) -> Any:
    arguments = given.as_text if given else None
    return wire.message_json(approving.allow(_call_for(request, call_id), user_of(request), arguments))


@router.post("/tool-calls/{call_id}/deny", response=schemas.Message, summary="Deny a call: it is not run")
@refuses("409 already_decided")
def deny_tool_call(request: HttpRequest, call_id: UUID, given: schemas.Denied | None = None) -> Any:
    reason = given.reason if given else ""
    return wire.message_json(approving.deny(_call_for(request, call_id), user_of(request), reason))


@router.post(
    "/tool-calls/{call_id}/form",
    response=schemas.Message,
    summary="Answer the form of a running call (the first answer counts), or refuse to",
)
@refuses("409 already_filled", "422 invalid_form")
def fill_tool_form(request: HttpRequest, call_id: UUID, given: schemas.FilledForm) -> Any:
    call = _call_for(request, call_id)
    return wire.message_json(form_filling.fill(call, user_of(request), given.number, given.action, given.content))


def _call_for(request: HttpRequest, call_id: UUID) -> ToolCall:
    """A call in one of the user's sessions, which they may decide about. Raises Http404, Refused (403)."""
    call = ToolCall.objects.select_related("message__reply_to").filter(pk=call_id).first()
    if call is None:
        raise Http404
    message_for(request, call.message_id, *WRITERS)
    return call


def _shown_server(server: configured.Configured) -> dict[str, Any]:
    """Which tools it has, only the workers know, who talk to it."""
    shown = {"name": server.name, "title": server.title, "description": server.description}
    return shown | {"is_server": True, "tools": []}


def _shown(service: Any) -> dict[str, Any]:
    tools = [tool.offered for tool in service.tools]
    return {
        "name": service.name,
        "title": service.title,
        "description": service.description,
        "is_server": False,
        "tools": [{"name": tool.name, "title": tool.title, "needs_approval": tool.needs_approval} for tool in tools],
    }
