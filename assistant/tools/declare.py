"""How a tool is declared: a function with type hints and a docstring, in a named service."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from assistant.tools.form import Filled, Form

Function = TypeVar("Function", bound=Callable[..., Any])

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,47}")
SUMMARY_LENGTH = 160


class ToolError(Exception):
    """Raised by a tool: its words are told to the model, and to people as the summary."""


class WrongTools(Exception):
    """A setting names tools that can't be had; the message is a sentence that says which and why."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a tool has found: PNG, JPEG, GIF or WebP."""

    data: bytes = field(repr=False)
    name: str = "Image"


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool returns if its summary is to be its own: `text` for the model, `summary` for people.

    `images` are shown to people, and to a model that sees.
    """

    text: str
    summary: str = ""
    images: tuple[Image, ...] = ()


async def _nobody(form: Form) -> Filled:
    return Filled("cancel")


@dataclass(frozen=True, slots=True)
class Context:
    """What a tool may know beside its arguments. The model never sees it."""

    session_id: UUID
    message_id: UUID  # the answer that is being written
    call_id: UUID
    user: Any  # who asked, or wanted another answer: a user of the project, or None if they are gone
    user_context: Mapping[str, Any]  # what ASSISTANT_USER_CONTEXT says of them
    status: Callable[[str], None] = field(default=lambda text: None)  # a line that people read while the tool runs
    ask: Callable[[Form], Awaitable[Filled]] = field(default=_nobody)  # people, who fill in a form; for async tools


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool as a turn needs it, wherever it comes from."""

    name: str
    title: str
    doing: str
    description: str
    schema: dict[str, Any]  # JSON schema of the arguments, an object
    timeout_seconds: float
    is_idempotent: bool
    needs_approval: bool
    run: Callable[[Context, dict[str, Any]], Any]  # returns Result, or an awaitable of one; sync ones run in a thread
    is_async: bool

    @property
    def function(self) -> dict[str, Any]:
        """In OpenAI's format."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.schema},
        }


class Service:
    """A group of tools that is switched on as one. Make it a global of a module that ASSISTANT_TOOLS names."""

    def __init__(self, name: str, *, title: str, description: str = "") -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"A service's name is letters, digits and _; {name!r} is not.")
        self.name = name
        self.title = title
        self.description = description
        self.tools: list[Tool] = []

    def tool(
        self,
        *,
        title: str,
        doing: str = "",
        summary: Callable[[Any], str] | None = None,
        timeout: float = 30.0,
        idempotent: bool = False,
        approval: bool = False,
    ) -> Callable[[Function], Function]:
        """Declares the decorated function as a tool of this service, under its own name.

        `title` is what people read, `doing` what they read while it runs ("Searching the web"), `summary` makes a short
        line of what it returned. After `timeout` seconds the model is told that it took too long. An `idempotent` one
        may be run a second time if its worker died; one with `approval` is run only after somebody has allowed it.
        """

        def declare(function: Function) -> Function:
            made = Tool(
                function,
                title=title,
                doing=doing or title,
                summary=summary,
                timeout_seconds=timeout,
                is_idempotent=idempotent,
                needs_approval=approval,
            )
            self.tools.append(made)
            return function

        return declare


class Tool:
    """A declared function. `offered` is what a turn works with."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        title: str,
        doing: str,
        summary: Callable[[Any], str] | None,
        timeout_seconds: float,
        is_idempotent: bool,
        needs_approval: bool,
    ) -> None:
        self._function = function
        self._summary = summary
        self.is_async = inspect.iscoroutinefunction(function)
        name = function.__name__
        if not NAME.fullmatch(name):
            raise ValueError(f"A tool's name is letters, digits and _; {name!r} is not.")
        if timeout_seconds <= 0:
            raise ValueError(f"The tool {name} needs a timeout of more than 0 seconds.")
        self._arguments, self._context_name = _arguments_of(function)
        self.offered = Offered(
            name=name,
            title=title,
            doing=doing,
            description=_description(function),
            schema=_schema(self._arguments),
            timeout_seconds=timeout_seconds,
            is_idempotent=is_idempotent,
            needs_approval=needs_approval,
            run=self._run_async if self.is_async else self._run,
            is_async=self.is_async,
        )

    def _run(self, context: Context, arguments: dict[str, Any]) -> Result:
        return self._result(self._function(**self._checked(context, arguments)))

    async def _run_async(self, context: Context, arguments: dict[str, Any]) -> Result:
        return self._result(await self._function(**self._checked(context, arguments)))

    def _checked(self, context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        """The function's keyword arguments. Raises ToolError where the model's don't fit the schema."""
        try:
            found = self._arguments.model_validate(arguments)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
            raise ToolError(f"The arguments don't fit: {wrong}.") from None
        given: dict[str, Any] = {name: getattr(found, name) for name in self._arguments.model_fields}
        return given | ({self._context_name: context} if self._context_name else {})

    def _result(self, value: Any) -> Result:
        if isinstance(value, Result):
            return replace(value, summary=value.summary or first_line(value.text))
        text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
        return Result(text, first_line(self._summary(value) if self._summary else text))


def first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= SUMMARY_LENGTH else line[: SUMMARY_LENGTH - 1] + "…"


def _arguments_of(function: Callable[..., Any]) -> tuple[type[BaseModel], str | None]:
    """The arguments as a pydantic model, and the name of the parameter that takes the context, if there is one."""
    hints = typing.get_type_hints(function, include_extras=True)
    described = _described_parameters(function)
    fields: dict[str, Any] = {}
    context_name = None
    for name, parameter in inspect.signature(function).parameters.items():
        if hints.get(name) is Context:
            context_name = name
            continue
        if name not in hints:
            raise TypeError(f"The parameter {name} of the tool {function.__name__} needs a type hint.")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=described.get(name)))
    made: type[BaseModel] = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    return made, context_name


def _schema(arguments: type[BaseModel]) -> dict[str, Any]:
    """Without the titles that pydantic makes of names: they cost tokens and say nothing."""
    schema = arguments.model_json_schema()
    schema.pop("title", None)
    for part in schema.get("properties", {}).values():
        part.pop("title", None)
    return {"type": "object", "properties": {}} | schema


_PARAMETER = re.compile(r"^(\w+): +(\S.*)$")


def _description(function: Callable[..., Any]) -> str:
    """The docstring without the lines about parameters, which are in the schema."""
    names = inspect.signature(function).parameters
    lines = (inspect.getdoc(function) or "").splitlines()
    kept = [line for line in lines if not ((found := _PARAMETER.match(line)) and found[1] in names)]
    description = "\n".join(kept).strip()
    if not description:
        raise TypeError(f"The tool {function.__name__} needs a docstring: it is what the model knows of it.")
    return description


def _described_parameters(function: Callable[..., Any]) -> dict[str, str]:
    """Lines of the docstring in the form `name: what it means`."""
    lines = (inspect.getdoc(function) or "").splitlines()
    return {found[1]: found[2] for line in lines if (found := _PARAMETER.match(line))}
