"""What a model can do: learnt once, off the loop, and kept.

litellm has a list, and asks a server of one's own (Ollama's `/api/show`) wherever it looks something up, which blocks
whoever asks: seven times for each request. So that server is asked here, once, in a thread, with a short limit, and litellm
is told what it said (`litellm_internals.register`). Whoever is about to ask a model awaits `learn`; all else here answers
at once.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from assistant import conf
from assistant.llm import litellm_internals, ollama_show
from assistant.llm.library import library

logger = logging.getLogger(__name__)

LOOKUP_SECONDS = 3.0  # a first question waits no longer
KEPT_SECONDS = 600.0  # somebody may pull another model under the same name
FAILED_SECONDS = 30.0
MOST_KEPT = 1_000  # models

# Output limits of Claude that litellm doesn't list: it would take 4,096, which cuts answers. The newest first; the last is
# for those to come. A limit that is too high is refused with the right one, see `note_output_limit`.
_CLAUDE_WRITES = (
    (r"claude-3-7", 64_000),
    (r"claude-3-5", 8_192),
    (r"claude-(3|2|instant)", 4_096),
    (r"claude-opus-4(-[01])?(-2025|@|$)", 32_000),
    (r"claude", 64_000),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """None: not known."""

    reads: int | None = None  # tokens
    writes: int | None = None  # tokens, of one answer
    sees: bool | None = None
    calls: bool | None = None  # tools
    thinks: bool | None = None


@dataclass(frozen=True, slots=True)
class _Learnt:
    facts: Facts
    until: float
    is_good: bool  # else nobody has answered, and these are litellm's list's


learnt: dict[str, _Learnt] = {}
_looking: dict[str, Future[None]] = {}
_lock = threading.Lock()
_threads = ThreadPoolExecutor(4, thread_name_prefix="facts")
output_limits: dict[str, int] = {}  # as providers have named them


async def learn(model: str) -> None:
    """Looks up what `model` can do, unless that is known. Never raises; waits LOOKUP_SECONDS at most, on no loop.

    Beside that it does what litellm does with the first request to a provider, which takes long: importing.
    """
    known = learnt.get(model)
    if known is not None and known.until > time.monotonic():
        return
    looking = _look(model)
    if known is not None and known.is_good:
        return  # it goes on with what it knew; the next one has what is found now
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(looking)), LOOKUP_SECONDS)
    except TimeoutError:
        logger.info("Nobody says what %s can do; it is asked without.", model)
        _keep(model, listed(model), is_good=False)


def _look(model: str) -> Future[None]:
    with _lock:
        if (looking := _looking.get(model)) is None:
            looking = _looking[model] = _threads.submit(_learn, model)
        return looking


def _learn(model: str) -> None:
    try:
        _keep(model, _found(model), is_good=True)
    except Exception as error:  # a model that nobody describes is asked all the same
        logger.info("What %s can do is not known: %s", model, error)
        _keep(model, listed(model), is_good=False)
    finally:
        with _lock:
            _looking.pop(model, None)


def _keep(model: str, facts: Facts, *, is_good: bool) -> None:
    if len(learnt) >= MOST_KEPT and model not in learnt:
        learnt.clear()  # where people may choose any name
    learnt[model] = _Learnt(facts, time.monotonic() + (KEPT_SECONDS if is_good else FAILED_SECONDS), is_good)


def _found(model: str) -> Facts:
    """What the one who knows says of `model`. Blocks; raises whatever asking raises."""
    provider, _, name = model.partition("/")
    if provider in litellm_internals.OLLAMA:
        litellm_internals.spare(model)  # whatever comes of it
        told = ollama_show.by_ollama(name, LOOKUP_SECONDS)
        facts = Facts(told.reads, None, told.sees, told.calls, told.thinks)
        litellm_internals.register(model, _as_listed(facts))
        return facts
    _warm_up(model)
    return listed(model)


def _warm_up(model: str) -> None:
    if not litellm_internals.signs_in(model):
        litellm_internals.config_of(litellm_internals.target_of(model))


def _as_listed(facts: Facts) -> dict[str, Any]:
    """As an entry of litellm's list."""
    return {
        "max_input_tokens": facts.reads,
        "supports_vision": facts.sees,
        "supports_function_calling": facts.calls,
        "supports_reasoning": facts.thinks,
    }


# --- litellm's list ---


def _asks(model: str) -> bool:
    """Whether litellm, asked about `model`, asks somebody else; its list is read without it then."""
    return model.partition("/")[0] in litellm_internals.ASKING


def entry_of(model: str) -> Mapping[str, Any]:
    """What stands in litellm's list of `model`, {} if it is not there. Asks nobody."""
    if _asks(model):
        return library().model_cost.get(model, {})
    return _entry_by_any_name(model)


@functools.lru_cache(
    maxsize=1024
)  # for a name that it doesn't know litellm searches its list anew, for a millisecond
def _entry_by_any_name(model: str) -> Mapping[str, Any]:
    litellm = library()
    try:
        key = litellm.get_model_info(model)["key"]
    except Exception:
        return {}
    return litellm.model_cost.get(key, {})


def listed(model: str) -> Facts:
    """What litellm knows by itself: its list, and what it guesses of a name's family. Asks nobody."""
    info: Mapping[str, Any]
    if _asks(model):
        info = entry_of(model)
    else:
        try:
            info = library().get_model_info(model)
        except Exception:  # it does not know the model
            info = {}
    return Facts(
        info.get("max_input_tokens"),
        info.get("max_output_tokens"),
        info.get("supports_vision"),
        info.get("supports_function_calling"),
        info.get("supports_reasoning"),
    )


def _facts(model: str) -> Facts:
    known = learnt.get(model)
    return known.facts if known is not None else listed(model)


# --- what is asked of them; nothing here waits ---


def limit(model: str) -> int | None:
    """How many tokens `model` can read, or None if nobody knows."""
    return _facts(model).reads


def output_limit(model: str) -> int | None:
    """How many tokens `model` can write in one answer, or None if nobody knows. Of every Claude it is known, or assumed."""
    known = output_limits.get(model) or entry_of(model).get("max_output_tokens")
    family = (tokens for name, tokens in _CLAUDE_WRITES if re.search(name, model))
    return known or next(family, None) or _facts(model).writes  # the last: litellm's guess


def named_output_limit(model: str) -> int | None:
    """The one that `model`'s provider has named when it refused a higher one."""
    return output_limits.get(model)


def note_output_limit(model: str, tokens: int) -> None:
    """The provider has refused a higher one, and named this."""
    if tokens > 0:
        if len(output_limits) >= MOST_KEPT:
            output_limits.clear()
        output_limits[model] = tokens


def sees(model: str) -> bool:
    """Whether `model` takes images. ASSISTANT_VISION_MODELS names some (`*` at the end: all ids that begin so), litellm's
    list others.

    Of a model that only its server knows, and that nobody has asked yet, it is assumed: before it is sent anything that
    server is asked, and images are taken out if it sees none.
    """
    for name in conf.settings.vision_models:
        if model == name or (name.endswith("*") and model.startswith(name[:-1])):
            return True
    if model not in learnt and model.partition("/")[0] in litellm_internals.OLLAMA:
        return True
    return bool(_facts(model).sees)


def keys_of(model: str) -> list[str]:
    """The environment's variables with which `model`'s provider is paid, those that are set and those that are missing."""
    provider = model.partition("/")[0]
    if not _asks(model):
        try:
            found = library().validate_environment(model)
            if found.get("missing_keys"):
                return [str(name) for name in found["missing_keys"]]
            _, provider, _, _ = library().get_llm_provider(model)
        except Exception:  # it does not know the model
            return []
    return [name for name in os.environ if name == f"{provider.upper()}_API_KEY"]


def count(model: str, messages: list[dict[str, Any]]) -> int:
    """About how many tokens `messages` are for `model`. Takes a while for many: call it in a thread."""
    return int(library().token_counter(model=model, messages=messages))
