"""Tools: Python functions that a model may call, in services that a session switches on. See docs/tools.md."""

from assistant.tools.declare import Context, Image, Offered, Result, Service, Tool, ToolError

__all__ = ["Context", "Image", "Offered", "Result", "Service", "Tool", "ToolError"]
