"""What Bedrock's Converse API takes, and how it words what it doesn't. Pure."""

import base64
import re
from typing import Any

from .base import Refused, signed

_BODY = {
    "messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "additionalModelRequestFields",
    "promptVariables", "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier",
    "outputConfig",
}  # fmt: skip
_BLOCKS = {
    "text", "image", "document", "video", "toolUse", "toolResult", "guardContent", "reasoningContent", "cachePoint",
    "citationsContent", "searchResult",
}  # fmt: skip
_FORMATS = ("png", "jpeg", "gif", "webp")
_NAME = "[a-zA-Z0-9_-]+"
_MOST_MARKS = 4


def refused(message: str) -> Refused:
    return Refused(message, 400, "ValidationException")


def by_the_model(message: str) -> Refused:
    """What the model itself refuses, not Bedrock."""
    return refused(f"The model returned the following errors: {message}")


def check_body(body: dict[str, Any]) -> None:
    """Raises Refused in the real one's words."""
    _only(body, _BODY)
    messages = body.get("messages")
    if not messages or messages[0].get("role") != "user":
        raise refused(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message."
        )
    for place, message in enumerate(messages):
        _check_message(message, f"messages.{place}")
        if place and messages[place - 1]["role"] == message["role"]:
            raise refused(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates"
                " between user and assistant roles and try again."
            )
    for place, block in enumerate(body.get("system") or ()):
        _check_block(block, f"system.{place}")
    _check_tools(body)
    _check_pairs(messages)
    blocks = [block for message in messages for block in message["content"]]
    is_using_tools = any("toolUse" in block or "toolResult" in block for block in blocks)
    if is_using_tools and "toolConfig" not in body:
        raise refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    marked = [*blocks, *(body.get("system") or ()), *(body.get("toolConfig") or {}).get("tools", ())]
    if (count := sum("cachePoint" in block for block in marked)) > _MOST_MARKS:
        raise by_the_model(f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {count}.")
    _check_thinking(body)


def _only(value: dict[str, Any], known: set[str]) -> None:
    for name in value:
        if name not in known:
            raise refused(
                f"Malformed input request: #: extraneous key [{name}] is not permitted, please reformat your input and"
                " try again."
            )


def _constraint(value: str, path: str, constraint: str) -> Refused:
    return refused(
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must {constraint}"
    )


def _check_message(message: dict[str, Any], path: str) -> None:
    _only(message, {"role", "content"})
    if message.get("role") not in ("user", "assistant"):
        raise _constraint(str(message.get("role")), f"{path}.role", "satisfy enum value set: [user, assistant]")
    if not message.get("content"):
        raise refused(
            f"The content field in the Message object at {path} is empty. Add a ContentBlock object to the content field"
            " and try again."
        )
    for index, block in enumerate(message["content"]):
        _check_block(block, f"{path}.content.{index}")


def _check_block(block: dict[str, Any], path: str) -> None:
    _only(block, _BLOCKS)
    if len(block) != 1:
        raise refused(f"The ContentBlock object at {path} must set one of the following keys: {', '.join(_BLOCKS)}.")
    if "text" in block and not block["text"].strip():
        raise refused(
            f"The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
        )
    if "image" in block:
        _check_image(block["image"], path)
    if "toolUse" in block:
        _check_id(block["toolUse"]["toolUseId"], f"{path}.toolUse.toolUseId")
        if not re.fullmatch(_NAME, block["toolUse"]["name"]):
            raise _constraint(block["toolUse"]["name"], f"{path}.toolUse.name", _pattern())
        if not isinstance(block["toolUse"]["input"], dict):
            raise refused(
                f"The format of the value at {path}.toolUse.input is invalid. Provide a json object for the field."
            )
    if "toolResult" in block:
        result = block["toolResult"]
        _check_id(result["toolUseId"], f"{path}.toolResult.toolUseId")
        if result.get("status") == "error" and not result.get("content"):
            raise refused(f"The content field at {path}.toolResult cannot be empty when status value is error.")
    thought = block.get("reasoningContent", {}).get("reasoningText")
    if thought and thought.get("signature") != signed("claude", thought["text"]):
        raise by_the_model(f"{path}: Invalid `signature` in `thinking` block")


def _pattern() -> str:
    return f"satisfy regular expression pattern: {_NAME}"


def _check_id(id_: str, path: str) -> None:
    if not re.fullmatch(_NAME, id_):
        raise _constraint(id_, path, _pattern())
    if len(id_) > 64:
        raise _constraint(id_, path, "have length less than or equal to 64")


def _check_image(image: dict[str, Any], path: str) -> None:
    if image.get("format") not in _FORMATS:
        raise _constraint(
            str(image.get("format")), f"{path}.image.format", f"satisfy enum value set: {list(_FORMATS)}"
        )
    try:
        base64.b64decode(image["source"]["bytes"], validate=True)
    except ValueError:
        raise by_the_model(f"{path}.image.source: invalid base64 data") from None


# --- tools ---


def _check_tools(body: dict[str, Any]) -> None:
    if "toolConfig" not in body:
        return
    tools = body["toolConfig"].get("tools")
    if not tools:
        raise _constraint(str(tools), "toolConfig.tools", "have length greater than or equal to 1")
    for number, tool in enumerate(tools, 1):
        if "toolSpec" not in tool:
            continue
        path = f"toolConfig.tools.{number}.member.toolSpec"
        spec = tool["toolSpec"]
        if not re.fullmatch(_NAME, spec["name"]):
            raise _constraint(spec["name"], f"{path}.name", _pattern())
        if len(spec["name"]) > 64:
            raise _constraint(spec["name"], f"{path}.name", "have length less than or equal to 64")
        if spec.get("description") == "":
            raise _constraint("", f"{path}.description", "have length greater than or equal to 1")
        if spec["inputSchema"]["json"].get("type") != "object":
            raise refused(
                f"The value at toolConfig.tools.{number - 1}.toolSpec.inputSchema.json.type must be one of the following:"
                " object."
            )


def _check_pairs(messages: list[Any]) -> None:
    asked: list[str] = []
    for place, message in enumerate([*messages, {"content": []}]):
        told = [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
        if missing := [id_ for id_ in asked if id_ not in told]:
            raise refused(
                f"Expected toolResult blocks at messages.{place}.content for the following Ids: {', '.join(missing)}"
            )
        if len(told) > len(asked):
            raise refused(
                f"The number of toolResult blocks at messages.{place}.content exceeds the number of toolUse blocks of"
                " previous turn."
            )
        asked = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]


def _check_thinking(body: dict[str, Any]) -> None:
    config = body.get("inferenceConfig") or {}
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    if thinking.get("type") != "enabled":
        return
    if thinking.get("budget_tokens", 0) < 1024:
        raise by_the_model("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if "maxTokens" in config and config["maxTokens"] <= thinking["budget_tokens"]:
        raise by_the_model("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if config.get("temperature", 1) != 1:
        raise by_the_model("`temperature` may only be set to 1 when thinking is enabled.")
