"""What a running tool asks people: some fields to fill in, or a page of another site to open. Pure.

The fields are those that MCP's elicitation knows: an object of flat values, as a JSON schema.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from assistant.text.sources import is_linkable
from assistant.text.storable import clean

LONGEST_MESSAGE = 4_000
LONGEST_WORDS = 500  # of a title, a description, an option
LONGEST_TEXT = 10_000  # that is given in a field
MOST_FIELDS = 30
MOST_OPTIONS = 200
FORMATS = ("email", "uri", "date", "date-time")

Action = Literal["accept", "decline", "cancel"]
Field = dict[str, Any]  # {name, title, description, kind, required, default, format, least, most, options}


class Unusable(ValueError):
    """What is asked is no form that people can be shown; the message is a sentence for who asks."""


class WrongAnswer(ValueError):
    """What was given doesn't fit the fields; the message is a sentence for who gave it."""


@dataclass(frozen=True, slots=True)
class Form:
    message: str
    fields: Sequence[Field] = ()
    url: str = ""  # instead of fields


@dataclass(frozen=True, slots=True)
class Filled:
    """What came of it. "cancel": nobody decided, in time or at all."""

    action: Action
    content: Mapping[str, Any] = field(default_factory=dict)  # by the fields' names, if it is "accept"


def form_of(message: str, schema: Mapping[str, Any]) -> Form:
    """Raises Unusable."""
    properties = schema.get("properties", {})
    if schema.get("type", "object") != "object" or not isinstance(properties, Mapping):
        raise Unusable("A form is an object with properties.")
    if len(properties) > MOST_FIELDS:
        raise Unusable(f"A form has {MOST_FIELDS} fields at most.")
    required = schema.get("required") or ()
    fields = [_field(str(name), part, is_required=name in required) for name, part in properties.items()]
    return Form(_words(message, LONGEST_MESSAGE), fields)


def link_of(message: str, url: str) -> Form:
    """Raises Unusable."""
    if not is_linkable(url, LONGEST_MESSAGE):
        raise Unusable("A page to open has an address that begins with https:// or http:// and the name of a site.")
    return Form(_words(message, LONGEST_MESSAGE), url=url)


def _field(name: str, schema: Any, *, is_required: bool) -> Field:
    if not isinstance(schema, Mapping) or clean(name) != name or not 0 < len(name) <= LONGEST_WORDS:
        raise Unusable(f"The field {name[:40]!r} can't be shown.")
    made = {
        "name": name,
        "title": _words(schema.get("title") or name),
        "description": _words(schema.get("description")),
        "required": is_required,
        **_kind(name, schema),
    }
    if "default" in schema:
        with suppress(WrongAnswer):  # then it begins empty
            made["default"] = _value(made, schema["default"])
    return made


def _kind(name: str, schema: Mapping[str, Any]) -> Field:
    match schema.get("type", "string" if "enum" in schema or "oneOf" in schema else None):
        case "string" if "enum" in schema or "oneOf" in schema:
            return {"kind": "choice", "options": _options(name, schema)}
        case "string":
            most = _whole(schema.get("maxLength"), LONGEST_TEXT)
            found = {"kind": "text", "least": _whole(schema.get("minLength"), 0), "most": min(most, LONGEST_TEXT)}
            return found | ({"format": schema["format"]} if schema.get("format") in FORMATS else {})
        case "integer" | "number" as kind:
            bounds = {"least": schema.get("minimum"), "most": schema.get("maximum")}
            return {"kind": kind} | {end: value for end, value in bounds.items() if _is_number(value)}
        case "boolean":
            return {"kind": "boolean"}
        case "array" if isinstance(schema.get("items"), Mapping):
            options = _options(name, schema["items"])
            bounds = {
                "least": _whole(schema.get("minItems"), 0),
                "most": _whole(schema.get("maxItems"), len(options)),
            }
            return {"kind": "choices", "options": options, **bounds}
    raise Unusable(f"The field {name[:40]!r} is neither text, number, yes or no, nor a choice.")


def _options(name: str, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    titled = schema.get("oneOf") or schema.get("anyOf")
    if titled:
        pairs = [(one.get("const"), one.get("title")) for one in titled if isinstance(one, Mapping)]
    else:
        values = list(schema.get("enum") or ())
        titles = list(schema.get("enumNames") or ())
        pairs = [(value, titles[n] if n < len(titles) else None) for n, value in enumerate(values)]
    if not 0 < len(pairs) <= MOST_OPTIONS or not all(isinstance(value, str) for value, _ in pairs):
        raise Unusable(f"The field {name[:40]!r} needs 1 to {MOST_OPTIONS} options, all of them texts.")
    if any(clean(str(value)) != value for value, _ in pairs):  # a tool is given back what it offered, or nothing
        raise Unusable(f"The field {name[:40]!r} has an option that can't be stored.")
    return [{"value": str(value), "title": _words(title or value)} for value, title in pairs]


def checked(fields: Sequence[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as the fields want it. Raises WrongAnswer for the first that doesn't fit, and for unknown ones."""
    known = {one["name"] for one in fields}
    if unknown := [name for name in given if name not in known]:
        raise WrongAnswer(f"There is no field {clean(unknown[0])[:80]!r}.")
    found = {}
    for one in fields:
        value = given.get(one["name"])
        if value is None or value == "" or value == []:
            if one["required"]:
                raise WrongAnswer(f"“{one['title']}” is needed.")
            continue
        found[one["name"]] = _value(one, value)
    return found


def _value(one: Field, value: Any) -> Any:
    title, options = one["title"], [option["value"] for option in one.get("options", ())]
    match one["kind"]:
        case "boolean":
            _hold(isinstance(value, bool), title, "is true or false")
        case "integer" | "number" as kind:
            _hold(_is_number(value) and (kind == "number" or value == int(value)), title, f"is no {kind}")
            _hold("least" not in one or value >= one["least"], title, f"is at least {one.get('least')}")
            _hold("most" not in one or value <= one["most"], title, f"is at most {one.get('most')}")
            return int(value) if kind == "integer" else value
        case "choice":
            _hold(value in options, title, "is none of the options")
        case "choices":
            _hold(isinstance(value, list) and all(item in options for item in value), title, "is none of the options")
            _hold(len(set(value)) == len(value), title, "has an option twice")
            _hold(one["least"] <= len(value) <= one["most"], title, f"has {one['least']} to {one['most']} options")
        case _:
            _hold(isinstance(value, str) and clean(value) == value, title, "is no text")
            _hold(one["least"] <= len(value) <= one["most"], title, f"has {one['least']} to {one['most']} characters")
            _hold(_has_format(value, one.get("format")), title, f"is no {one.get('format')}")
    return value


def _hold(fits: bool, title: str, what: str) -> None:
    if not fits:
        raise WrongAnswer(f"“{title}” {what}.")


def _has_format(value: str, form: str | None) -> bool:
    try:
        match form:
            case "email":
                validate_email(value)
            case "uri":
                return bool(urlsplit(value).scheme)
            case "date":
                date.fromisoformat(value)
            case "date-time":
                return datetime.fromisoformat(value).tzinfo is not None
    except (ValueError, ValidationError):
        return False
    return True


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def _words(text: Any, longest: int = LONGEST_WORDS) -> str:
    return clean(text)[:longest].strip() if isinstance(text, str) else ""
