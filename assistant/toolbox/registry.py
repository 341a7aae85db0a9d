"""Which services there are: those in the modules that ASSISTANT_TOOLS names."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.module_loading import import_string

from assistant import conf
from assistant.mcp import configured
from assistant.tools.declare import Offered, Service, WrongTools


def services() -> dict[str, Service]:
    """All services by name, in the order of the setting. Raises WrongTools."""
    return services_of(tuple(conf.settings.tools))


def offered(names: Sequence[str]) -> dict[str, Offered]:
    """The tools of these services by name. Services that are not there any more offer nothing."""
    known = services()
    return {tool.offered.name: tool.offered for name in names if name in known for tool in known[name].tools}


def undeclared(names: Sequence[str]) -> list[str]:
    """Those of `names` that are no services declared here; they may be MCP servers."""
    known = services()
    return [name for name in names if name not in known]


def unknown(names: Sequence[str]) -> list[str]:
    """Those of `names` that are no services, nor MCP servers."""
    others = undeclared(names)
    servers = configured.servers() if others else {}
    return [name for name in others if name not in servers]


def user_context(user: Any, session: Any) -> Mapping[str, Any]:
    """What the project says of who asks: what the function that ASSISTANT_USER_CONTEXT names returns for them."""
    hook = hook_of(conf.settings.user_context)
    return dict(hook(user, session)) if hook and user is not None else {}


@functools.cache
def hook_of(path: str) -> Callable[[Any, Any], Mapping[str, Any]] | None:
    """Raises WrongTools."""
    if not path:
        return None
    try:
        found: Callable[[Any, Any], Mapping[str, Any]] = import_string(path)
    except ImportError as error:
        raise WrongTools(f"ASSISTANT_USER_CONTEXT: {path!r} can't be imported ({error}).") from error
    return found


@functools.cache
def services_of(modules: tuple[str, ...]) -> dict[str, Service]:
    found: dict[str, Service] = {}
    tools: dict[str, str] = {}
    for path in modules:
        for service in _services_in(path):
            if service.name in found:
                raise WrongTools(f"ASSISTANT_TOOLS: two services are called {service.name!r}; one is in {path}.")
            found[service.name] = service
            for tool in service.tools:
                name = tool.offered.name
                if name in tools:
                    raise WrongTools(f"ASSISTANT_TOOLS: {tools[name]} and {service.name} both have a tool {name!r}.")
                tools[name] = service.name
    return found


def _services_in(path: str) -> list[Service]:
    try:
        module = importlib.import_module(path)
    except Exception as error:  # whatever the module does when it is loaded
        raise WrongTools(
            f"ASSISTANT_TOOLS: the module {path!r} can't be imported ({type(error).__name__}: {error})."
        ) from error
    made = [value for value in vars(module).values() if isinstance(value, Service)]
    if not made:
        raise WrongTools(f"ASSISTANT_TOOLS: the module {path!r} has no Service.")
    return made
