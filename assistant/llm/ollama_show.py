"""What an Ollama server says of one of its models.

Source: Ollama's API reference, "Show model details". Servers before 0.6.4 name no capabilities; theirs are read off the
template and the families, as their own clients did.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

LONGEST_ANSWER_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shown:
    reads: int | None  # tokens; None: it didn't say
    sees: bool
    calls: bool
    thinks: bool


def by_ollama(name: str, seconds: float) -> Shown:
    """What the server of OLLAMA_API_BASE says of its model `name`.

    Blocks for about `seconds` at most. Raises httpx.HTTPError, TimeoutError; ValueError for what can't be read.
    """
    key = os.environ.get("OLLAMA_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    until, data = time.monotonic() + seconds, b""
    with httpx.stream(
        "POST", f"{address()}/api/show", json={"model": name}, headers=headers, timeout=seconds
    ) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            data += part
            if time.monotonic() > until or len(data) > LONGEST_ANSWER_BYTES:
                raise TimeoutError(f"{name}: the server goes on and on")
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ValueError(f"{name}: the server's answer is no object")
    return read(told)


def address() -> str:
    """In litellm's words: OLLAMA_API_BASE may also be the address of what it asks there."""
    return re.sub(r"(/api/\w+)?/*$", "", os.environ.get("OLLAMA_API_BASE") or "http://localhost:11434")


def read(told: Mapping[str, Any]) -> Shown:
    capabilities = told.get("capabilities")
    if isinstance(capabilities, list):
        return Shown(_reads(told), "vision" in capabilities, "tools" in capabilities, "thinking" in capabilities)
    details = told.get("details")
    families = details.get("families") if isinstance(details, Mapping) else None
    sees = bool(told.get("projector_info")) or bool({"clip", "mllama"} & set(families or ()))
    return Shown(_reads(told), sees, ".Tools" in str(told.get("template", "")), thinks=False)


def _reads(told: Mapping[str, Any]) -> int | None:
    """What its Modelfile sets (the server cuts off what is above that), else what the model was made for."""
    if chosen := re.search(r"^num_ctx\s+(\d+)", str(told.get("parameters", "")), re.MULTILINE):
        return int(chosen[1])
    info = told.get("model_info")
    lengths = [v for k, v in info.items() if k.endswith(".context_length")] if isinstance(info, Mapping) else []
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)
