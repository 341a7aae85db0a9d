"""An MCP server whose tools sessions may use, as an administrator has entered it."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now


class ApprovalRule(models.TextChoices):
    ALWAYS = "always", "Each call is allowed by somebody first"
    WRITES = "writes", "Calls of tools that don't say that they only read"
    NEVER = "never", "None: calls are run at once"


def no_variables() -> dict[str, str]:
    return {}


class McpServer(models.Model):
    """Either a command (stdio) or an address (streamable HTTP). `${NAME}` in the values of `env` and `headers` is read from
    the workers' environment, so that no secret need stand in the database."""

    name = models.CharField(
        max_length=24,
        unique=True,
        validators=[RegexValidator(r"^[a-zA-Z][a-zA-Z0-9_]*$", "Letters, digits and _, a letter first.")],
        help_text="The service's name, and the beginning of the names of its tools.",
    )
    title = models.CharField(max_length=80, help_text="What people read.")
    description = models.CharField(max_length=300, blank=True)
    url = models.URLField("address", max_length=500, blank=True, help_text="Of a server over streamable HTTP.")
    headers = models.JSONField(default=no_variables, blank=True, help_text='{"Authorization": "Bearer ${MY_TOKEN}"}')
    command = models.JSONField(
        default=list, blank=True, help_text='Of a server over stdio, run by each worker: ["program", "argument"].'
    )
    env = models.JSONField("environment", default=no_variables, blank=True, help_text="Variables for the command.")
    uses_oauth = models.BooleanField(
        "uses OAuth",
        default=False,
        db_default=False,
        help_text="Somebody signs in for all: save it, then connect it.",
    )
    approval = models.CharField(max_length=10, choices=ApprovalRule, default=ApprovalRule.ALWAYS)
    timeout_seconds = models.PositiveIntegerField(default=60, help_text="For one call.")
    is_enabled = models.BooleanField("enabled", default=True)

    class Meta:
        verbose_name = "MCP server"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        if bool(self.url) == bool(self.command):
            raise ValidationError("Give either an address or a command.")
        if self.uses_oauth and not self.url:
            raise ValidationError({"uses_oauth": "Only of a server with an address."})
        if not isinstance(self.command, list) or not all(isinstance(part, str) and part for part in self.command):
            raise ValidationError({"command": "A list of words, the program first."})
        for name in ("headers", "env"):
            value = getattr(self, name)
            if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
                raise ValidationError({name: "An object of strings."})


class McpGrant(models.Model):
    """That an administrator has signed in with a server (OAuth), for all who use it here. What is secret of it is sealed.

    The address is the one that was signed in with: nothing is sent to another.
    """

    server = models.OneToOneField(McpServer, on_delete=models.CASCADE, related_name="grant")
    url = models.URLField(max_length=500)
    pending = models.TextField(blank=True, help_text="Sealed: what a sign-in that has begun needs to go on.")
    tokens = models.TextField(blank=True, help_text="Sealed. Empty: nobody has signed in yet.")
    is_lost = models.BooleanField(default=False, help_text="The tokens are no longer taken: somebody has to sign in.")
    renewing_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then one process renews the tokens."
    )
    connected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    connected_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.server}: {'connected' if self.is_usable else 'not connected'}"

    @property
    def is_usable(self) -> bool:
        return bool(self.tokens) and not self.is_lost and self.url == self.server.url


class McpProblem(models.Model):
    """Why a server can't be used, as a worker has found it last. By its name: the file's servers have no row."""

    name = models.CharField(max_length=24, unique=True)
    reason = models.CharField(max_length=500)
    noted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "MCP server that is away"
        verbose_name_plural = "MCP servers that are away"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"
