"""Time-ordered ids (UUID version 7, RFC 9562): new rows stand together in the primary key's index."""

from __future__ import annotations

import uuid

import uuid_utils


def new_id() -> uuid.UUID:
    return uuid.UUID(int=uuid_utils.uuid7().int)
