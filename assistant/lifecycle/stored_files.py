"""Files in the storage: a row before the first byte, the bytes, and away with what nobody refers to any more.

Whatever dies in between leaves a row that the sweep finds, so no byte is ever forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.core.files.base import File

from assistant.delivery import clock
from assistant.files import sniff
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import StoredFile, random_key, storage

logger = logging.getLogger(__name__)


def begin(found: sniff.Found, size: int) -> StoredFile:
    """The row of a file of `size` bytes that is not written yet."""
    return StoredFile.objects.create(
        key=random_key(), type=found.type, size=size, width=found.width, height=found.height
    )


def write(file: StoredFile, content: File, detail: str = "It could not be stored here.") -> None:
    """Writes a file's bytes, outside transactions. Raises Refused (storage); then the caller deletes the row."""
    try:
        content.seek(0)
        file.key = storage().save(file.key, content)
    except Exception as error:
        logger.exception("A file could not be stored as %s.", file.key)
        raise Refused("storage", detail, status=503) from error
    file.written_at = clock.now()
    file.save(update_fields=["key", "written_at"])


def delete_unused(files: Iterable[int]) -> int:
    """Deletes those of the stored files that no attachment refers to: bytes first, so that no byte is ever forgotten.

    What the storage refuses stays with its row for the next sweep. Never raises for a single file.
    """
    deleted = 0
    for file in StoredFile.objects.unused().filter(pk__in=list(files)):
        try:
            for key in filter(None, (file.key, file.usual_small_key, file.small_key)):
                storage().delete(key)
            deleted += bool(StoredFile.objects.unused().filter(pk=file.pk).delete()[0])
        except Exception:
            logger.exception("The stored file %s could not be deleted; the sweep tries again.", file.key)
    return deleted
