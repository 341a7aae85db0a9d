"""Types for the page's scripts, from what they meet: the HTTP API and the templates. `python -m project.page_types`.

`make check` makes them anew before TypeScript reads the scripts, so they are in step by themselves:

- types/made/api.d.ts: the API's shapes, and each call with what it takes and answers, from the OpenAPI schema;
- types/made/markup.d.ts: the elements that the scripts find by name, from the Django templates.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import django

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "assistant" / "templates" / "assistant"
MADE = ROOT / "types" / "made"
HEAD = "// Made by `python -m project.page_types`: a change here is overwritten.\n\n"

# Of the key that this project's users have it would be one of the two; the scripts serve every project.
USER_ID = "/** A user's id. */\nexport type UserId = number | string;\n\n"

Json = Mapping[str, Any]


# --- the API ---


def api_types(schema: Json) -> str:
    """The declarations of api.d.ts, from an OpenAPI schema."""
    parts = [_interface(name, shape) for name, shape in schema["components"]["schemas"].items()]
    calls = [
        _call(method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    about = "/** Each call: the ids in its path, in order, what it is given (a query with GET, else a body), its answer. */"
    return HEAD + USER_ID + "\n".join(parts) + f"\n{about}\nexport interface Calls {{\n{''.join(calls)}}}\n"


def _interface(name: str, shape: Json) -> str:
    required = shape.get("required", ())
    fields = [f"  {_field(field, each, field in required)};" for field, each in shape.get("properties", {}).items()]
    about = [f"/** {shape['description']} */"] if "description" in shape else []
    return "\n".join([*about, f"export interface {name} {{", *fields, "}\n"])


def _call(method: str, path: str, operation: Json) -> str:
    parameters = operation.get("parameters", ())
    ids = [_of(one["name"], one["schema"]) for one in parameters if one["in"] == "path"]
    query = _fields(
        (one["name"], one["schema"], one.get("required", False)) for one in parameters if one["in"] == "query"
    )
    body = operation.get("requestBody")
    given = _content(body) if body else query if query != "{}" else "undefined"
    answers = {_content(one) for code, one in operation["responses"].items() if str(code).startswith("2")}
    name = f"{method.upper()} {path.removeprefix('/api/')}"
    return f"  {json.dumps(name)}: {{ ids: [{', '.join(ids)}]; given: {given}; answer: {' | '.join(sorted(answers))} }};\n"


def _content(told: Json) -> str:
    """The type of a body. What is no JSON (a file, nothing at all) has no type that scripts would use."""
    content = told.get("content", {}).get("application/json")
    return _typed(content["schema"]) if content else "object"


def _typed(shape: Json) -> str:
    """The TypeScript type of a JSON schema."""
    match shape:
        case {"description": "A user's id."}:
            return "UserId"
        case {"$ref": ref}:
            return str(ref).rpartition("/")[2]
        case {"anyOf": several}:
            return " | ".join(dict.fromkeys(map(_typed, several)))
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"type": "array", "items": items}:
            each = _typed(items)
            return f"({each})[]" if "|" in each else f"{each}[]"
        case {"type": "object", "properties": properties}:
            required = shape.get("required", ())
            return _fields((name, each, name in required) for name, each in properties.items())
        case {"type": "object"}:
            values = shape.get("additionalProperties", True)
            return f"{{ [name: string]: {_typed(values) if isinstance(values, Mapping) else 'unknown'} }}"
        case {"type": "string" | "boolean" | "null" as kind}:
            return str(kind)
        case {"type": "integer" | "number"}:
            return "number"
    return "unknown"


def _fields(fields: Iterable[tuple[str, Json, bool]]) -> str:
    told = [_field(*each) for each in fields]
    return f"{{ {'; '.join(told)} }}" if told else "{}"


def _field(name: str, shape: Json, is_required: bool) -> str:
    about = f"/** {shape['description']} */ " if "description" in shape else ""
    return f"{about}{name}{'' if is_required else '?'}: {_of(name, shape)}"


def _of(name: str, shape: Json) -> str:
    return "UserId" if name in ("user", "user_id") else _typed(shape)


# --- the templates ---

_INCLUDE = re.compile(r'{%\s*include "assistant/([\w.]+)".*?%}')
_TAG = re.compile(r"{%.*?%}|{#.*?#}")
_BODY_DATA = re.compile(r"{% block data %}(.*?){% endblock %}", re.DOTALL)


class Markup(HTMLParser):
    """What of the templates' elements scripts find by name, each with the tags that it stands on."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, set[str]] = defaultdict(set)  # by `data-part`
        self.ids: dict[str, set[str]] = defaultdict(set)
        self.marks: dict[str, set[str]] = defaultdict(set)  # by other attributes `data-...`
        self.templates: dict[str, set[str]] = defaultdict(set)  # by the id of a <template>: the element in it
        self.fields: dict[str, set[str]] = defaultdict(set)  # of forms, by `name`
        self.data: set[str] = set()  # what <body> says
        self._template: str | None = None  # the one that has just begun

    def read(self, text: str) -> None:
        """Reads a template of Django's. Its tags are left out, so that of two branches both are seen."""
        for data in _BODY_DATA.findall(text):
            self.feed(f"<body {data}>")
        self.feed(_TAG.sub(" ", _INCLUDE.sub(lambda found: (TEMPLATES / found[1]).read_text(), text)))
        self.reset()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if self._template:
            self.templates[self._template].add(tag)
        name = given.pop("id", None) or ""
        self._template = name if tag == "template" else None
        if tag not in ("template", "symbol") and name and "{" not in name:  # a symbol is an icon
            self.ids[name].add(tag)
        if tag in ("input", "select", "textarea") and (field := given.get("name")):
            self.fields[field].add(tag)
        for mark, value in given.items():
            if mark == "data-part":
                self.parts[value or ""].add(tag)
            elif mark.startswith("data-") and tag == "body":
                self.data.add(re.sub("-(.)", lambda found: found[1].upper(), mark.removeprefix("data-")))
            elif mark.startswith("data-"):
                self.marks[f"[{mark}]"].add(tag)


def markup_types(texts: Iterable[str]) -> str:
    """The declarations of markup.d.ts, from the templates."""
    markup = Markup()
    for text in texts:
        markup.read(text)
    return HEAD + "\n".join(
        [
            *_elements("By `data-part`: what `part` finds.", "Parts", markup.parts),
            *_elements("By the id of a <template>: what `clone` makes.", "Templates", markup.templates),
            *_elements("What `byId` finds.", "Ids", markup.ids),
            *_elements("By another mark: what `one` finds.", "Marks", markup.marks),
            *_elements("Fields of forms by name: what `fieldOf` finds.", "Fields", markup.fields),
            "/** What a page's <body> says in its data. No page has all of it. */",
            "export interface PageData extends DOMStringMap {",
            *[f"  {name}: string;" for name in sorted(markup.data)],
            "}\n",
        ]
    )


def _elements(about: str, name: str, found: Mapping[str, set[str]]) -> Iterator[str]:
    yield f"/** {about} */\nexport interface {name} {{"
    for key, tags in sorted(found.items()):
        yield f"  {json.dumps(key)}: {' | '.join(f'HTMLElementTagNameMap[{json.dumps(tag)}]' for tag in sorted(tags))};"
    yield "}\n"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from assistant.api import api  # builds on models, which there are now

    MADE.mkdir(parents=True, exist_ok=True)
    (MADE / "api.d.ts").write_text(api_types(api.get_openapi_schema()))
    (MADE / "markup.d.ts").write_text(markup_types(path.read_text() for path in sorted(TEMPLATES.rglob("*.html"))))


if __name__ == "__main__":
    main()
