"""The categories of failure, each with the sentence that people read. Raw errors go to the log, never to the page."""

from __future__ import annotations

SENTENCES: dict[str, str] = {
    "timeout": "The model stopped sending. What it had written is kept; try again.",
    "provider_error": "The model's provider had a problem. Try again in a moment.",
    "rate_limited": "The model's provider is receiving too many requests just now. Try again in a moment.",
    "auth": "The model's provider refused this installation's key. Ask your administrator.",
    "invalid_model": "The model's provider does not know this model. Choose another one.",
    "context_overflow": "This conversation has become longer than the model can read. Start a new session.",
    "content_filtered": "The model's provider refused to answer this.",
    "empty_response": "The model sent an empty answer. Try again.",
    "incomplete_response": "The answer was cut off before its end. What was written is kept; try again.",
    "interrupted": "The answer was interrupted. What was written is kept; try again.",
    "abandoned": "The answer was interrupted and has been given up. What was written is kept; try again.",
    "over_quota": "You have used up what you may ask for now. Try again later.",
    "internal": "Something went wrong here. The operator's log has the details.",
}


def sentence(code: str) -> str:
    return SENTENCES[code]
