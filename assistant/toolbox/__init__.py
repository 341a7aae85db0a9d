"""Which tools a session may use: those declared in Python, and those of MCP servers."""
