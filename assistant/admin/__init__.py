"""The operators' pages, a file for each subject. Django looks for them here."""

from assistant.admin import accounts, mcp_servers, messages, sessions, unfinished_answers, usage, workers
from assistant.admin.accounts import PassesOnSessions, SignInForm

__all__ = ["PassesOnSessions", "SignInForm"]
__all__ += ["accounts", "mcp_servers", "messages", "sessions", "unfinished_answers", "usage", "workers"]
