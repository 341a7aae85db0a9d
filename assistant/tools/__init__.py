"""Tools: Python functions that a model may call, in services that a session switches on. See docs/tools.md."""

from assistant.tools.declare import Context, Image, Offered, Result, Service, Tool, ToolError
from assistant.tools.form import Filled, Form, form_of, link_of

__all__ = [
    "Context", "Filled", "Form", "Image", "Offered", "Result", "Service", "Tool", "ToolError", "form_of", "link_of",
]  # fmt: skip
