"""Finding what was said, and where, in all of one's sessions. docs/search.md says what is found and what is not."""

from assistant.search.finding import Hit, everywhere, find, find_titles
from assistant.search.words import Term, terms_of

__all__ = ["Hit", "Term", "everywhere", "find", "find_titles", "terms_of"]
