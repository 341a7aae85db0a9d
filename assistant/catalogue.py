"""Which models people may choose. Knows ids and labels only; calling them is `assistant.llm`'s."""

from __future__ import annotations

import os
from dataclasses import dataclass

from assistant import conf

DEMO = "demo/assistant"

# Without ASSISTANT_MODELS a provider's key in the environment chooses a sensible model of that provider.
_BY_KEY = {
    "ANTHROPIC_API_KEY": ("Claude Sonnet", "anthropic/claude-sonnet-4-5"),
    "OPENAI_API_KEY": ("GPT-5 mini", "openai/gpt-5-mini"),
    "GEMINI_API_KEY": ("Gemini Flash", "gemini/gemini-2.5-flash"),
    "MISTRAL_API_KEY": ("Mistral Medium", "mistral/mistral-medium-latest"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    id: str


def entries() -> list[Entry]:
    """The models on offer, the default first. An id that ends in `*` offers every id that begins so."""
    if configured := conf.settings.models:
        return [Entry(label, model) for label, model in configured]
    by_key = [Entry(*entry) for key, entry in _BY_KEY.items() if os.environ.get(key)]
    return by_key or [Entry("Demo", DEMO)]


def default() -> str:
    return entries()[0].id


def label(model: str) -> str:
    """What people call a model: its entry's label, or the last part of its id."""
    return next((entry.label for entry in entries() if entry.id == model), model.rpartition("/")[2])


def offers(model: str) -> bool:
    if "*" in model:
        return False  # a pattern is no model
    if ".." in model or any(letter.isspace() or not letter.isprintable() for letter in model):
        return False  # no provider has such a name; of some it becomes a part of their address
    return any(
        model == entry.id or (entry.id.endswith("*") and model.startswith(entry.id[:-1]) and model != entry.id[:-1])
        for entry in entries()
    )


def models_of(model: str) -> frozenset[str]:
    """Whom a turn with `model` may ask, as it is set up now."""
    others = (*conf.settings.fallback_models, conf.settings.escalation_model)
    return frozenset(filter(None, (model, *others)))
