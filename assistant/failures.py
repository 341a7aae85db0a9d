"""The categories of failure, each with the sentence that people read. Raw errors go to the log, never to the page."""

from __future__ import annotations

SENTENCES: dict[str, str] = {
    "timeout": "The model stopped sending. What it had written is kept; try again.",
    "provider_error": "The model's provider had a problem. Try again in a moment.",
    "rate_limited": "The model's provider is receiving too many requests just now. Try again in a moment.",
    "out_of_credit": "The provider's account of this installation has no credit left. Ask your administrator.",
    "auth": "The model's provider refused this installation's key. Ask your administrator.",
    "invalid_model": "The model's provider does not know this model. Choose another one.",
    "context_overflow": "This conversation has become longer than the model can read. Start a new session.",
    "content_filtered": "The model's provider refused to answer this.",
    "refusal": "The model declined to answer this.",
    "empty_response": "The model sent an empty answer. Try again.",
    "incomplete_response": "The answer was cut off before its end. What was written is kept; try again.",
    "abandoned": "The answer was interrupted and has been given up. What was written is kept; try again.",
    "over_quota": "You have used up what you may ask for now. Try again later.",
    "unpriced": "Your budget is in dollars, and nobody knows what this model costs. Choose another one, or ask your "
    "administrator for its price.",
    "internal": "Something went wrong here. The operator's log has the details.",
}


# Why an answer has an end that is none, by the reason to finish (`assistant.llm.finish_reasons`).
CUTS: dict[str, str] = {
    "length": "The answer was cut off at the model's output limit. What was written is kept; ask it to go on.",
    "context_length": "The answer was cut off: the conversation fills all that the model can read. What was written is "
    "kept; go on in a new session.",
    "pause": "The model paused before the end of its answer. What was written is kept; ask it to go on.",
}


REFUSED = frozenset({"content_filter", "refusal"})  # reasons to finish: the provider's filter, or the model, declined


def sentence(code: str) -> str:
    return SENTENCES[code]
