"""The operators' pages, a file for each subject. Django looks for them here."""

from assistant.admin import accounts, mcp_servers, messages, sessions, unfinished_answers, usage, workers
from assistant.admin.accounts import SignInForm

__all__ = ["SignInForm"]
__all__ += ["accounts", "mcp_servers", "messages", "sessions", "unfinished_answers", "usage", "workers"]
