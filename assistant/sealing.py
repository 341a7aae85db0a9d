"""What is stored sealed: who has the database alone can't read it. The key is made of SECRET_KEY."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.conf import settings


def seal(text: str) -> str:
    return _box().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str | None:
    """The text; None if it was sealed with another key (SECRET_KEY was changed since), or is no sealed text."""
    from cryptography.fernet import InvalidToken  # of the extra `mcp`, and only who seals pays for it

    try:
        return str(_box().decrypt(sealed.encode()).decode())
    except InvalidToken:
        return None


def _box() -> Any:
    from cryptography.fernet import Fernet, MultiFernet  # as above

    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_key(str(secret))) for secret in secrets])


def _key(secret: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(b"assistant.sealing\n" + secret.encode()).digest())
