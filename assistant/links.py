"""Moved to `assistant.ops.log_redaction`. This path works until 1.0, for projects whose LOGGING names it."""

from assistant.ops.log_redaction import WithoutTokens as WithoutTokens
from assistant.ops.log_redaction import scrubbed as scrubbed
