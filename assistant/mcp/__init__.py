"""MCP servers: tools that other programs offer, used like our own."""
