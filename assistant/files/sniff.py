"""What a file is, by its content. Names and what browsers say are not believed."""

from __future__ import annotations

import codecs
import warnings
from dataclasses import dataclass
from typing import IO

MAX_PIXELS = 50_000_000  # an image of more is refused by its header alone: drawn, it would fill the memory
_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    type: str
    width: int | None = None
    height: int | None = None


class TooLarge(ValueError):
    """The image has more pixels than MAX_PIXELS."""


def sniff(content: IO[bytes]) -> Found | None:
    """The type of what `content` holds: a raster image, a PDF or a text; None for everything else.

    Only headers are read of images (no pixel is drawn) and only marks of PDFs; a text is a text if all of it can be
    decoded and no control character is in it. SVG and HTML are texts, and no more. Raises TooLarge.
    """
    return _image(content) or _pdf(content) or _text(content)


def _image(content: IO[bytes]) -> Found | None:
    from PIL import Image  # only who looks at files pays for it

    content.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(content, formats=tuple(_FORMATS)) as image:
                width, height = image.size
                found = Found(_FORMATS[image.format or ""], width, height)
    except Image.DecompressionBombError:
        raise TooLarge from None
    except Exception:  # whatever Pillow stumbles over, it is not an image that it can show
        return None
    if width * height > MAX_PIXELS:
        raise TooLarge
    return found


def _pdf(content: IO[bytes]) -> Found | None:
    content.seek(0)
    # Some readers look for the mark further in as well; there it may be a text that speaks of PDFs.
    return Found("application/pdf") if content.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"%PDF-") else None


def encoding_of(start: bytes) -> str:
    """The encoding that a text with these first bytes is in: by its byte order mark, else UTF-8."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _text(content: IO[bytes]) -> Found | None:
    content.seek(0)
    start = content.read(4)
    content.seek(0)
    decoder = codecs.getincrementaldecoder(encoding_of(start))()
    try:
        while chunk := content.read(_CHUNK_BYTES):
            if _has_control(decoder.decode(chunk)):
                return None
        if _has_control(decoder.decode(b"", final=True)):
            return None
    except UnicodeDecodeError:
        return None
    return Found("text/plain")


_CONTROL = {code: None for code in range(32) if chr(code) not in "\t\n\r\f\b\x1b"}


def _has_control(text: str) -> bool:
    """Whether characters are in it that no text has: a binary file may well be valid UTF-8."""
    return len(text.translate(_CONTROL)) != len(text)
