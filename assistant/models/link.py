"""A link that opens something for whoever has it. Who reads the database can't use it; who made it can be shown it again.

The token is made from a random seed in the row and from SECRET_KEY, which is not in the database; it is looked up by its
hash. So the row alone opens nothing. After a change of SECRET_KEY old links still work but can't be shown again.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

from django.db import models
from django.utils.crypto import salted_hmac


def digest(token: str) -> str:
    """The stored form of a random token. It has 256 bits of its own, so a plain fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class SecretLink(models.Model):
    seed = models.CharField(max_length=64, blank=True, editable=False)
    token_digest = models.CharField(max_length=64, unique=True, editable=False)

    class Meta:
        abstract = True

    @staticmethod
    def secrets() -> dict[str, Any]:
        """The fields of a new link."""
        seed = secrets.token_hex(32)
        return {"seed": seed, "token_digest": digest(_token(seed))}

    @property
    def token(self) -> str | None:
        """What opens it, or None if it can't be told any more."""
        token = _token(self.seed)
        return token if self.seed and digest(token) == self.token_digest else None


def _token(seed: str) -> str:
    made = salted_hmac("assistant.models.link", seed, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
