"""What Gemini's API takes, and how it words what it doesn't. Pure.

Its JSON is that of protocol buffers: names in camelCase or snake_case are the same, unknown ones are refused.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from .base import Refused

_BODY = {
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent",
    "model", "labels", "serviceTier", "store",
}  # fmt: skip
_CONFIG = {
    "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "candidateCount",
    "maxOutputTokens", "temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty", "responseLogprobs",
    "logprobs", "enableEnhancedCivicAnswers", "speechConfig", "thinkingConfig", "mediaResolution", "imageConfig",
}  # fmt: skip
_THINKING = {"includeThoughts", "thinkingBudget", "thinkingLevel"}
_DATA = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
}  # fmt: skip
_PART = _DATA | {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
_FIELDS = {
    "inlineData": {"mimeType", "data", "displayName"},
    "fileData": {"mimeType", "fileUri", "displayName"},
    "functionCall": {"id", "name", "args"},
    "functionResponse": {"id", "name", "response", "willContinue", "scheduling", "parts"},
}
_TOOL = {"functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "googleMaps"}
_DECLARATION = {
    "name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior",
}  # fmt: skip
# What a schema in `parameters` may hold: a part of OpenAPI's, not JSON Schema.
_SCHEMA = {
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
    "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering",
    "default", "items", "minimum", "maximum",
}  # fmt: skip
_TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}
_FREE = {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "example", "default", "enum"}


def camel(value: Any) -> Any:
    """The same message with all names in camelCase; what is free JSON in it stays as it is."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        proper = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
        if proper == "properties" and isinstance(item, dict):
            found[proper] = {key: camel(schema) for key, schema in item.items()}
        else:
            found[proper] = item if proper in _FREE else camel(item)
    return found


def check_body(body: dict[str, Any]) -> None:
    """Raises Refused in the real one's words; `body` is in camelCase."""
    _only(body, _BODY, "")
    _check_config(body.get("generationConfig") or {})
    if not body.get("contents"):
        raise _request("contents: contents is not specified")
    for index, content in enumerate(body["contents"]):
        _check_content(content, f"contents[{index}]")
    if system := body.get("systemInstruction"):
        _check_content(system | {"role": "user"}, "system_instruction")
    for index, tool in enumerate(body.get("tools") or ()):
        _check_tool(tool, f"tools[{index}]")
    _check_turns(body["contents"])


def _only(value: dict[str, Any], known: set[str], path: str) -> None:
    for name in value:
        if name not in known:
            where = f" at '{path}'" if path else ""
            raise Refused(f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')


def _request(what: str) -> Refused:
    return Refused(f"* GenerateContentRequest.{what}\n")


def _check_config(config: dict[str, Any]) -> None:
    _only(config, _CONFIG, "generation_config")
    thinking = config.get("thinkingConfig") or {}
    _only(thinking, _THINKING, "generation_config.thinking_config")
    if {"thinkingBudget", "thinkingLevel"} <= thinking.keys():
        raise Refused("You can only set only one of thinking budget and thinking level.")
    if not 0 <= config.get("temperature", 0) <= 2:
        raise _request("generation_config.temperature: temperature must be in the range [0.0, 2.0]")


# --- contents ---


def _check_content(content: dict[str, Any], path: str) -> None:
    _only(content, {"role", "parts"}, path)
    if content.get("role") not in ("user", "model", "function"):
        raise Refused("Please use a valid role: user, model.")
    if not content.get("parts"):
        raise _request(f"{path}.parts: contents.parts must not be empty.")
    for index, part in enumerate(content["parts"]):
        _check_part(part, f"{path}.parts[{index}]")


def _check_part(part: dict[str, Any], path: str) -> None:
    _only(part, _PART, path)
    data = part.keys() & _DATA
    if len(data) > 1:
        raise Refused(
            f"Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set '{sorted(data)[1]}'"
        )
    if not data or (part.get("text") == "" and "thoughtSignature" not in part):
        raise _request(f"{path}.data: required oneof field 'data' must have one initialized field")
    if "text" in part and not isinstance(part["text"], str):
        raise Refused(f"Invalid value at '{path}.text' (TYPE_STRING), {part['text']!r}")
    kind = data.pop()
    _only(part[kind] if isinstance(part[kind], dict) else {}, _FIELDS.get(kind, set()), f"{path}.{_snake(kind)}")
    if kind == "inlineData":
        _check_base64(part[kind].get("data", ""), f"{path}.inline_data.data")
    if kind in ("functionCall", "functionResponse"):
        _check_function(part[kind], "args" if kind == "functionCall" else "response", f"{path}.{_snake(kind)}")
    if "thoughtSignature" in part:
        _check_base64(part["thoughtSignature"], f"{path}.thought_signature")


def _check_function(function: dict[str, Any], field: str, path: str) -> None:
    if not function.get("name"):
        raise _request(f"{path}.name: Name cannot be empty.")
    _check_name(function["name"], path)
    value = function.get(field, {} if field == "args" else None)
    if not isinstance(value, dict):
        raise Refused(f"Invalid value at '{path}.{field}' (type.googleapis.com/google.protobuf.Struct), {value!r}")


def _check_name(name: str, path: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}", name):
        raise _request(
            f"{path}.name: Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z,"
            " A-Z, 0-9), underscores (_), dots (.), colons(:) or dashes (-), with a maximum length of 64."
        )


def _check_base64(text: Any, path: str) -> None:
    try:
        padded = text.replace("-", "+").replace("_", "/")
        good = bool(base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True))
    except (ValueError, AttributeError):
        good = False
    if not good:
        raise Refused(f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{str(text)[:80]}\"")


def _check_turns(contents: Sequence[dict[str, Any]]) -> None:
    """Which turn may come after which."""
    if contents[-1]["role"] == "model":
        raise Refused("Please ensure that multiturn requests ends with a user role or a function response.")
    for place, content in enumerate(contents):
        before = contents[place - 1] if place else {"role": "", "parts": []}
        after = contents[place + 1] if place + 1 < len(contents) else {"role": "", "parts": []}
        calls, results = count(content, "functionCall"), count(content, "functionResponse")
        if calls and (content["role"] != "model" or before["role"] not in ("user", "function")):
            raise Refused(
                "Please ensure that function call turn comes immediately after a user turn or after a function response"
                " turn."
            )
        if results and (content["role"] == "model" or not count(before, "functionCall")):
            raise Refused("Please ensure that function response turn comes immediately after a function call turn.")
        if calls != count(after, "functionResponse") and calls:
            raise Refused(
                "Please ensure that the number of function response parts is equal to the number of function call parts"
                " of the function call turn."
            )


def count(content: dict[str, Any], kind: str) -> int:
    return sum(kind in part for part in content["parts"])


# --- tools ---


def _check_tool(tool: dict[str, Any], path: str) -> None:
    _only(tool, _TOOL, path)
    for index, declaration in enumerate(tool.get("functionDeclarations") or ()):
        where = f"{path}.function_declarations[{index}]"
        _only(declaration, _DECLARATION, where)
        _check_name(declaration.get("name", ""), where)
        if {"parameters", "parametersJsonSchema"} <= declaration.keys():
            raise _request(f"{where}: only one of parameters and parameters_json_schema can be set.")
        for schema, at in _schemas(declaration.get("parameters"), f"{where}.parameters"):
            _check_schema(schema, at)


def _schemas(schema: Any, path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """A schema and those in it."""
    if not isinstance(schema, dict):
        return
    yield schema, path
    for name, inner in (schema.get("properties") or {}).items():
        yield from _schemas(inner, f"{path}.properties[{name}]")
    yield from _schemas(schema.get("items"), f"{path}.items")
    for index, inner in enumerate(schema.get("anyOf") or ()):
        yield from _schemas(inner, f"{path}.any_of[{index}]")


def _check_schema(schema: dict[str, Any], path: str) -> None:
    _only(schema, _SCHEMA, path)
    kind = schema.get("type", "")
    if isinstance(kind, list):
        raise Refused(
            f"Invalid JSON payload received. Unknown name \"type\" at '{path}': Proto field is not repeating, cannot"
            " start list."
        )
    if kind and kind.upper() not in _TYPES:
        raise Refused(
            f"Invalid value at '{path}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type)"
        )
    if kind.upper() == "ARRAY" and "items" not in schema:
        raise _request(f"{path}.items: missing field.")
    for index, name in enumerate(schema.get("required") or ()):
        if name not in (schema.get("properties") or {}):
            raise _request(f"{path}.required[{index}]: property is not defined")
    if kind.upper() == "STRING" and schema.get("format") not in (None, "enum", "date-time"):
        raise _request(f"{path}.format: only 'enum' and 'date-time' are supported for STRING type")


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)
