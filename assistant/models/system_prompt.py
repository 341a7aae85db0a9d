"""The texts that a session's system prompt has had, each once, so that every answer names the one it was given."""

from __future__ import annotations

import hashlib

from django.db import models
from django.db.models.functions import Now

from assistant.models.ids import new_id
from assistant.models.session import ChatSession


class SystemPrompt(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="system_prompts")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text.")
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "digest"], name="system_prompt_once")]

    def __str__(self) -> str:
        return self.text[:80]

    @classmethod
    def of(cls, session: ChatSession) -> SystemPrompt | None:
        """The row for what the session's system prompt is now, made where it is new; None if it has none.

        The caller has locked the session.
        """
        if not session.system_prompt:
            return None
        digest = hashlib.sha256(session.system_prompt.encode()).hexdigest()
        row, _ = cls.objects.get_or_create(session=session, digest=digest, defaults={"text": session.system_prompt})
        return row
