"""What litellm knows of a model: how much it reads, whether it sees, how it is paid."""

from __future__ import annotations

import os
from typing import Any

from assistant import conf
from assistant.llm.library import library


def limit(model: str) -> int | None:
    """How many tokens `model` can read, or None if litellm does not know it."""
    try:
        return library().get_model_info(model).get("max_input_tokens")
    except Exception:  # it does not know the model
        return None


def keys_of(model: str) -> list[str]:
    """The environment's variables with which `model`'s provider is paid, those that are set and those that are missing."""
    try:
        found = library().validate_environment(model)
    except Exception:  # it does not know the model
        return []
    if found.get("missing_keys"):
        return [str(name) for name in found["missing_keys"]]
    _, provider, _, _ = library().get_llm_provider(model)
    return [name for name in os.environ if name == f"{provider.upper()}_API_KEY"]


def count(model: str, messages: list[dict[str, Any]]) -> int:
    """About how many tokens `messages` are for `model`. Takes a while for many: call it in a thread."""
    return int(library().token_counter(model=model, messages=messages))


def sees(model: str) -> bool:
    """Whether `model` takes images: litellm knows it of many, ASSISTANT_VISION_MODELS names others (`*` at the end: all
    ids that begin so)."""
    for name in conf.get("ASSISTANT_VISION_MODELS"):
        if model == name or (name.endswith("*") and model.startswith(name[:-1])):
            return True
    try:
        return bool(library().supports_vision(model=model))
    except Exception:
        return False
