"""Images as they come in requests."""

import base64
import re


def parse_data_url(url: str) -> tuple[str, bytes]:
    """Media type and bytes of a `data:` URL in base64. Raises ValueError."""
    match = re.fullmatch(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.+)", url, re.DOTALL)
    if not match:
        raise ValueError("not a data URL in base64")
    return match[1], base64.b64decode(match[2], validate=True)


def told(media_type: str, data: bytes) -> str:
    """What the script `images` says of one."""
    return f"{media_type}, {len(data)} bytes"
