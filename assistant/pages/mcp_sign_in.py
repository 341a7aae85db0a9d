"""Where administrators sign in with MCP servers (OAuth), for all who use them: the way there, and the way back."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from assistant.extras import MissingExtra
from assistant.mcp import grants
from assistant.models import McpServer

_BEGUN = "mcp_sign_in"  # in the browser's session: {"state", "server"}


def connect(request: HttpRequest, server_id: int) -> HttpResponse:
    """A page of the admin's: what will happen; then, POSTed, the address at which one signs in.

    A link and no redirect: the site's policy lets a form lead nowhere else, and one should see where one is sent.
    """
    if not request.user.is_superuser:
        raise Http404
    server = get_object_or_404(McpServer, pk=server_id, uses_oauth=True)
    address = problem = ""
    if request.method == "POST":
        try:
            from assistant.mcp import oauth  # raises MissingExtra without the extra `mcp`

            address, begun = async_to_sync(oauth.begin)(server.url, _back_to(request), grants.known_client(server))
        except MissingExtra as error:
            problem = str(error)
        except oauth.NotConnected as error:
            problem = str(error)
        else:
            grants.begin(server, begun.as_json())
            request.session[_BEGUN] = {"state": begun.state, "server": server.pk}
    shown = {"server": server, "address": address, "host": urlsplit(address).netloc, "problem": problem}
    shown |= admin.site.each_context(request) | {"title": f"Connect {server.title}"}
    return TemplateResponse(request, "admin/assistant/mcpserver/connect.html", shown)


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Where the authorization server sends the administrator back to. Only the browser that was sent there may come."""
    if not request.user.is_superuser:
        raise Http404
    begun = request.session.pop(_BEGUN, None)
    state = request.GET.get("state", "")
    if not begun or not secrets.compare_digest(begun["state"].encode(), state.encode()):
        messages.error(request, "This sign-in was not begun here, or has been used. Begin it anew.")
        return redirect("admin:assistant_mcpserver_changelist")
    server = get_object_or_404(McpServer, pk=begun["server"])
    problem = _connected(request, server, state)
    if problem:
        messages.error(request, f"{server.title} is not connected: {problem}")
    else:
        messages.success(request, f"{server.title} is connected.")
    return redirect("admin:assistant_mcpserver_change", server.pk)


def _connected(request: HttpRequest, server: McpServer, state: str) -> str:
    """Changes what was brought for tokens; returns what is wrong, or nothing."""
    from assistant.mcp import oauth  # of the extra `mcp`: the page is there without it too

    kept: dict[str, Any] | None = grants.pending(server)
    if kept is None or kept["state"] != state:
        return "another sign-in was begun since."
    if error := request.GET.get("error"):
        return f"{error}. {request.GET.get('error_description', '')}"[:300]
    code, issuer = request.GET.get("code", ""), request.GET.get("iss")
    try:
        tokens = async_to_sync(oauth.finish)(oauth.Begun(**kept), code, issuer)
    except oauth.NotConnected as wrong:
        return str(wrong)
    grants.connect(server, tokens.as_json(), request.user)
    return ""


def _back_to(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("assistant:mcp-callback"))
