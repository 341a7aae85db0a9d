"""What models are given of the files in a conversation: texts and PDFs as text, images as images where they see them.

A file is read once, by `prepare`, in the first turn that needs it; what came of it is kept with the file.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction

from assistant import conf
from assistant.database import Database
from assistant.delivery import clock
from assistant.files import sniff
from assistant.files.isolation import EXTRACTION, Crashed, IsolatedProcess, TookTooLong
from assistant.models.attachment import PDF, TEXT, Attachment, StoredFile, storage
from assistant.models.message import Message, Status, next_version
from assistant.presentation import events

logger = logging.getLogger(__name__)

READING_SECONDS = 30.0  # for reading one file
SIDE_BY_SIDE = 2  # files that one worker process reads at once
LONGEST_SIDE_PIXELS = 1568  # beyond that providers scale images down themselves
NEWEST_IMAGES = 8  # of a conversation; older ones are only named
NEWEST_IMAGES_BYTES = 12 * 1024 * 1024
FILES_AT_ONCE = 50

TOO_LONG = "Reading this file took too long."
CRASHED = "This file could not be read."
GONE = "This file is no longer there."

Part = dict[str, Any]

_readers = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="reading")


@dataclass(slots=True)
class FileReading:
    """What came of reading a file. All empty: there was nothing to do."""

    text: str = ""
    problem: str = ""
    small: bytes = b""
    small_type: str = ""


# --- reading, once ---


def unread(messages: Sequence[Message]) -> list[StoredFile]:
    """The files of `messages`, prefetched as for `parts_of`, that nobody has read yet; the newest first."""
    files = {a.file.pk: a.file for _, ones in _owned(messages) for a in ones}
    waiting = [file for file in files.values() if file.prepared_at is None and file.written_at is not None]
    return sorted(waiting, key=lambda file: file.pk, reverse=True)[:FILES_AT_ONCE]


async def prepare(files: Sequence[StoredFile], database: Database) -> None:
    """Reads `files`, and keeps what came of it with them.

    Cancelling it ends the processes that read. A file that can't be read is noted with the reason, and never tried again.
    """
    await asyncio.gather(*(_read(file, database) for file in files))


async def _read(file: StoredFile, database: Database) -> None:
    reader = Reader(file)
    try:
        reading = await asyncio.get_running_loop().run_in_executor(_readers, reader.read)
    except asyncio.CancelledError:
        reader.stop()
        raise
    await database.call(_keep, file, reading)


class Reader:
    """Reads one file, in the thread that calls `read`; `stop` may be called from another one."""

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._process: IsolatedProcess | None = None
        self._is_stopped = False

    def read(self) -> FileReading:
        if self._is_stopped:
            return FileReading()
        try:
            with storage().open(self._file.key) as stored:
                content = stored.read()
        except OSError:
            logger.exception("The stored file %s can't be read.", self._file.key)
            return FileReading(problem=GONE)
        limit = conf.settings.attachment_max_text
        if self._file.type == TEXT:
            return FileReading(text=_cut(content.decode(sniff.encoding_of(content[:4]), "replace"), limit))
        if self._file.type == PDF:
            reading = self._by_process("pdf", limit, content)
            reading.text = _cut(reading.text, limit)
            return reading
        return self._by_process("image", LONGEST_SIDE_PIXELS, content)

    def stop(self) -> None:
        self._is_stopped = True
        if self._process is not None:
            self._process.stop()

    def _by_process(self, kind: str, limit: int, content: bytes) -> FileReading:
        self._process = IsolatedProcess(EXTRACTION, kind, str(limit))
        try:
            answer = self._process.answer(content, READING_SECONDS)
        except (TookTooLong, Crashed) as error:
            if not self._is_stopped:
                logger.warning("Reading %s failed: %s", self._file.key, str(error) or "it took too long")
            return FileReading(problem=CRASHED if isinstance(error, Crashed) else TOO_LONG)
        head, _, rest = answer.partition(b"\n")
        found = json.loads(head)
        text = found.get("text", "").replace("\x00", "").encode("utf-8", "replace").decode()
        return FileReading(text, found.get("problem", ""), rest, found.get("type", ""))


def _cut(text: str, limit: int) -> str:
    text = text.replace("\x00", "")
    return text if len(text) <= limit else f"{text[:limit]}\n[cut here: the file is longer]"


def _keep(file: StoredFile, reading: FileReading) -> None:
    small_key = _store_small(file, reading.small) if reading.small else ""
    with transaction.atomic():
        won = StoredFile.objects.filter(pk=file.pk, prepared_at=None).update(
            prepared_at=clock.now(), text=reading.text, problem=reading.problem,
            small_key=small_key, small_type=reading.small_type,
        )  # fmt: skip
        if not won and small_key not in ("", file.usual_small_key):
            storage().delete(small_key)  # another worker was faster
        if won and reading.problem:
            for message in Message.objects.filter(attachments__file=file).distinct():
                Message.objects.filter(pk=message.pk).update(version=next_version())
                events.message_changed(message)


def _store_small(file: StoredFile, content: bytes) -> str:
    """Under a name that follows from the file's own: whoever deletes the file deletes it too, also if we die before its
    name is stored."""
    storage().delete(file.usual_small_key)
    return storage().save(file.usual_small_key, ContentFile(content))


# --- for models ---


def parts_of(messages: Sequence[Message], *, sees: bool) -> dict[Any, list[Part]]:
    """What a model is given of the files of each message, by its id, in OpenAI's form of content parts; and of the images
    of each tool call, by the call's.

    `messages` in their order, with the attachments of questions and of answers that have pictures, and of answers the calls
    with their images prefetched.
    Images come as data URLs where the model `sees` them, the newest ones of the conversation up to a limit; otherwise a
    line says that there is one.
    """
    attached = dict(_owned([m for m in messages if m.is_answer or m.status != Status.CANCELLED]))
    shown = _newest_images([a for ones in attached.values() for a in ones]) if sees else set()
    return {
        pk: [part for one in ones for part in _parts(one, is_shown=one.pk in shown, sees=sees)]
        for pk, ones in attached.items()
    }


def has_images(messages: Sequence[Message]) -> bool:
    return any(a.file.is_image for _, ones in _owned(messages) for a in ones)


def _owned(messages: Sequence[Message]) -> Iterator[tuple[Any, list[Attachment]]]:
    """What people have attached and models have made, by the message's id, and what tools have found, by the call's."""
    for message in messages:
        if not message.is_answer:
            owned = [(message.pk, list(message.attachments.all()))]
        else:
            calls = message.tool_calls.all() if message.rounds else ()
            owned = [(call.pk, list(call.images.all())) for call in calls if call.image_count]
            if message.pictures:
                owned.append((message.pk, [a for a in message.attachments.all() if a.call_id is None]))
        yield from ((pk, ones) for pk, ones in owned if ones)


def _newest_images(attachments: list[Attachment]) -> set[Any]:
    images = [a for a in attachments if a.file.is_image and not a.file.problem]
    chosen, size = set(), 0
    for attachment in reversed(images[-NEWEST_IMAGES:]):
        size += attachment.file.size if not attachment.file.small_key else LONGEST_SIDE_PIXELS * 400
        if size > NEWEST_IMAGES_BYTES:
            break
        chosen.add(attachment.pk)
    return chosen


def _parts(attachment: Attachment, *, is_shown: bool, sees: bool) -> list[Part]:
    file, name = attachment.file, attachment.name
    if file.problem:
        return [_line(f"[The file “{name}” is attached, but it can't be read: {file.problem}]")]
    if not file.is_image:
        return [_line(f"[The file “{name}”:]\n{file.text}\n[End of the file “{name}”]")]
    if not is_shown:
        why = "it is too far back to be shown again" if sees else "you can't see images"
        return [_line(f"[The image “{name}” is attached, but {why}.]")]
    url = _data_url(file)
    if url is None:
        return [_line(f"[The image “{name}” is attached, but it can't be read: {GONE}]")]
    return [_line(f"[The image “{name}”:]"), {"type": "image_url", "image_url": {"url": url}}]


def _line(text: str) -> Part:
    return {"type": "text", "text": text}


def _data_url(file: StoredFile) -> str | None:
    key, type_ = (file.small_key, file.small_type) if file.small_key else (file.key, file.type)
    try:
        with storage().open(key) as stored:
            return f"data:{type_};base64,{base64.b64encode(stored.read()).decode()}"
    except OSError:
        logger.exception("The stored file %s can't be read.", key)
        return None


def content(text: str, parts: Sequence[Part]) -> Any:
    """A message's text with its files: a plain string, unless an image is among them."""
    everything = [*([_line(text)] if text.strip() else []), *parts]
    if any(part["type"] != "text" for part in everything):
        return everything
    return "\n\n".join(part["text"] for part in everything)
