"""Reads what people uploaded, as a process of its own: `python -I extraction.py KIND LIMIT < file`.

Files of strangers are read by large parsers, which may hang, eat the memory or crash. Here they may: the process has a
limit of memory and of processor time that it sets itself, no secrets in its environment, and can write no file. It
imports nothing of this project.

KIND `pdf`: LIMIT characters of its text. KIND `image`: made small, so that no side is longer than LIMIT pixels; nothing if
it is small already. The answer, on standard output, is a line of JSON (`{"text", "problem", "type"}`) and then bytes.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import sys
from typing import Any

MEMORY_BYTES = 1536 * 1024 * 1024
PROCESSOR_SECONDS = 25
FINE_BYTES = 3 * 1024 * 1024  # an image of more is compressed anew, though it may be small in pixels

ENCRYPTED = "This PDF is encrypted."
BROKEN_PDF = "This PDF is broken and could not be read."
NO_TEXT = "There is no text in this PDF; it may be scanned."
BROKEN_IMAGE = "This image is broken and could not be read."


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    kind, limit = sys.argv[1], int(sys.argv[2])
    read = {"pdf": pdf, "image": image}[kind]
    answer, content = read(sys.stdin.buffer.read(), limit)
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + content)


def pdf(content: bytes, limit: int) -> tuple[dict[str, Any], bytes]:
    from pypdf import PdfReader  # within the limits of `main`, and only for a PDF

    logging.disable()
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"problem": ENCRYPTED}, b""
        text = _text_of(reader, limit)
    except MemoryError:
        raise
    except Exception as error:
        return {"problem": ENCRYPTED if "Dependency" in type(error).__name__ else BROKEN_PDF}, b""
    return ({"text": text} if text.strip() else {"problem": NO_TEXT}), b""


def _text_of(reader: Any, limit: int) -> str:
    pages: list[str] = []
    length = broken = 0
    for number, page in enumerate(reader.pages, 1):
        try:
            text = page.extract_text().strip()
        except MemoryError:
            raise
        except Exception:
            broken += 1
            text = "(this page could not be read)"
        pages.append(f"[page {number}]\n{text}" if text else "")
        length += len(text)
        if length > limit:
            break
    if broken == len(pages):
        raise ValueError("no page could be read")
    return "\n\n".join(page for page in pages if page)


def image(content: bytes, limit: int) -> tuple[dict[str, Any], bytes]:
    from PIL import Image, ImageOps  # within the limits of `main`, and only for an image

    Image.MAX_IMAGE_PIXELS = None  # its size was looked at before it was stored
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "GIF", "WEBP")) as opened:
            kind = opened.format
            is_turned = opened.getexif().get(0x0112, 1) != 1
            is_moving = getattr(opened, "is_animated", False) or kind == "GIF"
            fits = max(opened.size) <= limit and len(content) <= FINE_BYTES
            if fits and not is_turned and not is_moving:
                opened.load()  # a broken one is found out now, not by the model's provider
                return {}, b""
            opened.draft("RGB", (limit, limit))  # a large JPEG is read at a fraction of its size
            shown = ImageOps.exif_transpose(opened)
            shown.thumbnail((limit, limit))
            return _compressed(shown)
    except MemoryError:
        raise
    except Exception:
        return {"problem": BROKEN_IMAGE}, b""


def _compressed(shown: Any) -> tuple[dict[str, Any], bytes]:
    made = io.BytesIO()
    if shown.mode in ("RGBA", "LA", "PA") or "transparency" in shown.info:
        shown.convert("RGBA").save(made, "PNG")
        if made.tell() <= FINE_BYTES:
            return {"type": "image/png"}, made.getvalue()
        made = io.BytesIO()
    shown.convert("RGB").save(made, "JPEG", quality=85)
    return {"type": "image/jpeg"}, made.getvalue()


if __name__ == "__main__":
    main()
