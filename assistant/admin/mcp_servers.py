"""MCP servers, their sign-in, and why some are away."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.html import format_html

from assistant.admin.base import ReadOnly
from assistant.models import McpProblem, McpServer
from assistant.pages import mcp_sign_in


@admin.register(McpServer)
class McpServerAdmin(admin.ModelAdmin):
    """MCP servers. Only superusers enter them: a command is run on the workers' machines, and `${NAME}` in a header sends
    what stands in the workers' environment, keys among it, to whatever address is given."""

    list_display = ["name", "title", "url", "is_enabled", "approval", "sign_in", "problem"]
    list_select_related = ["grant"]
    readonly_fields = ["sign_in", "problem"]

    @admin.display(description="away because")
    def problem(self, server: McpServer) -> str:
        return McpProblem.objects.filter(name=server.name).values_list("reason", flat=True).first() or ""

    @admin.display(description="sign-in")
    def sign_in(self, server: McpServer) -> str:
        if not server.uses_oauth or not server.pk:
            return ""
        grant = getattr(server, "grant", None)
        told, again = "not connected", "Connect"
        if grant is not None and grant.is_usable:
            told, again = f"connected by {grant.connected_by or 'somebody'}", "Connect again"
        address = reverse("admin:assistant_mcpserver_connect", args=[server.pk])
        return format_html('{} · <a href="{}">{}</a>', told, address, again)

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(mcp_sign_in.connect)
        own = path("<int:server_id>/connect/", page, name="assistant_mcpserver_connect")
        return [own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """An address that is typed without a scheme is an https one, as it will be by default in Django 6."""
        if db_field.name == "url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(McpProblem)
class McpProblemAdmin(ReadOnly):
    """Why servers can't be used, those of the file too. A row goes when a worker reaches its server again."""

    list_display = ["name", "reason", "noted_at"]
