"""What the model is told in the place of a session's older messages. The messages themselves stay."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

from assistant.models.ids import new_id
from assistant.models.session import ChatSession


class Summary(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="summaries")
    until_position = models.PositiveIntegerField(help_text="Stands for every message up to this position.")
    content = models.TextField()
    model = models.CharField(max_length=200, help_text="Which wrote it.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "summaries"
        # Also the index of "the newest before a position".
        constraints = [models.UniqueConstraint(fields=["session", "until_position"], name="summary_once")]

    def __str__(self) -> str:
        return f"until {self.until_position} of {self.session_id}"

    @classmethod
    def before(cls, session: ChatSession, position: int) -> Summary | None:
        """The one that reaches furthest among those of messages before `position`."""
        return cls.objects.filter(session=session, until_position__lt=position).order_by("-until_position").first()

    def as_json(self) -> dict[str, Any]:
        created_at = self.created_at.isoformat().replace("+00:00", "Z")
        return {
            "id": str(self.pk),
            "until_position": self.until_position,
            "content": self.content,
            "model": self.model,
            "created_at": created_at,
        }
