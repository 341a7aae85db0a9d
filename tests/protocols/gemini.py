"""Gemini's API: `POST /gemini/v1beta/models/MODEL:streamGenerateContent?alt=sse`, and Vertex AI's paths for the same.

Sources: Google's API reference ("generateContent"), "Function calling", "Thought signatures", "Thinking", and the words of
its errors from public reports. A signature binds a call's name and arguments; a model whose script thinks, and any
`gemini-3`, wants it back on the first call of each step of the running turn.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.images import told
from tests.provider.playing import Plan
from tests.provider.records import Record
from tests.provider.script import PICTURE, Script, source

from .base import Prompt, Protocol, Refused, Said, canonical, json_of, signed
from .gemini_rules import camel, check_body, count

SIGNATURE_DOCS = "https://ai.google.dev/gemini-api/docs/thought-signatures"
# For calls that another model made, the real one takes these words instead of a signature; also in base64.
DUMMIES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_OVERLOADED = "The model is overloaded. Please try again later."


class Gemini(Protocol):
    name = "gemini"
    finishes = {
        "stop": "STOP", "tool_calls": "STOP", "sequence": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY",
        "refusal": "PROHIBITED_CONTENT", "recitation": "RECITATION", "malformed": "MALFORMED_FUNCTION_CALL",
    }  # fmt: skip
    wording = {
        400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        401: ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        403: ("PERMISSION_DENIED", "Your project has been denied access. Please contact support."),
        404: (
            "NOT_FOUND",
            "models/{model} is not found for API version v1beta, or is not supported for generateContent.",
        ),
        429: (
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details. For more information on this"
            " error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
        ),
        500: ("INTERNAL", "An internal error has occurred. Please retry or report in"),
        503: ("UNAVAILABLE", _OVERLOADED),
        529: ("UNAVAILABLE", _OVERLOADED),
    }
    unplayed = ("show",)
    says_retry_after = False  # it is in the body

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post("/gemini/v1beta/models/{rest:.+}", self.generate),
            web.post(
                "/{version:v1|v1beta1}/projects/{p}/locations/{l}/publishers/google/models/{rest:.+}", self.generate
            ),
            web.post("/google/token", self.token),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """What a service account signs in with, for Vertex AI."""
        return web.json_response({"access_token": "ya29.scripted", "expires_in": 3600, "token_type": "Bearer"})

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        model, _, method = request.match_info["rest"].rpartition(":")
        if method not in ("generateContent", "streamGenerateContent"):
            raise web.HTTPNotFound
        return await self.answer(request, body, model, stream=method == "streamGenerateContent")

    # What comes

    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        key = (
            request.headers.get("x-goog-api-key") or request.query.get("key") or request.headers.get("Authorization")
        )
        if not key:
            raise Refused(
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key"
                " or other form of API consumer identity to call this API.",
                403,
                "PERMISSION_DENIED",
            )
        if request.path.endswith(":streamGenerateContent") and request.query.get("alt") != "sse":
            raise Refused("The fake plays alt=sse only.", kind="invalid_script")
        check_body(camel(body))

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        contents = camel(body)["contents"]
        for content in contents:
            for part in content["parts"]:
                if signature := part.get("thoughtSignature"):
                    _check_signature(part, signature, record)
        if not is_signing(record.model, script):
            return
        for place in running_turn(contents):
            part = next(part for part in contents[place]["parts"] if "functionCall" in part)
            if "thoughtSignature" not in part:
                raise _unsigned(part["functionCall"]["name"], place + 1, record)

    def prompt(self, body: dict[str, Any]) -> Prompt:
        body = camel(body)
        system = (body.get("systemInstruction") or {}).get("parts", ())
        characters = sum(len(part.get("text", "")) for part in system) + len(json.dumps(body.get("tools", [])))
        prompt = Prompt(characters=characters)
        for content in body["contents"]:
            _read(prompt, content)
        return prompt

    # What is answered

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        if said.script.filter or said.script.policy:
            return Plan(tokens=[], ending=(self._event(said, [], **_blocked(said.script)),))
        last = self._last(said)
        return Plan(
            tokens=self._tokens(said),
            ending=() if last is None else (last,),
            error=_line({"error": {"code": 503, "message": _OVERLOADED, "status": "UNAVAILABLE"}}),
            broken=b'data: {"candidates": [{"content": {"parts": [{"te\r\n\r\n',
        )

    def _tokens(self, said: Said) -> Iterator[bytes]:
        finish = {"finishReason": "STOP"} if said.script.stops else {}
        for part in _parts(said):
            yield self._event(said, [{"content": {"parts": [part], "role": "model"}, "index": 0} | finish])

    def _last(self, said: Said) -> bytes | None:
        """The chunk that says why it ended; what signs a text without calls stands in it."""
        if said.reason == "none":
            return None
        candidate: dict[str, Any] = {"finishReason": said.reason, "index": 0}
        if said.reason in ("STOP", "MAX_TOKENS"):
            signature = {} if said.calls or not is_signing(said.model, said.script) else _signed_text(said)
            candidate |= {"content": {"parts": [{"text": ""} | signature], "role": "model"}}
        elif said.reason == "MALFORMED_FUNCTION_CALL":
            candidate |= {"content": {}, "finishMessage": "Malformed function call: print(default_api."}
        else:
            candidate |= {"safetyRatings": [_RATING]}
        return self._event(said, [candidate | _grounding(said.script)], is_last=True)

    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        if said.script.filter or said.script.policy:
            return self._chunk(said, [], is_last=True) | _blocked(said.script)
        content = {"parts": list(_parts(said)), "role": "model"}
        candidate = {"content": content, "finishReason": said.reason, "index": 0} | _grounding(said.script)
        return self._chunk(said, [candidate], is_last=True)

    def _event(self, said: Said, candidates: list[Any], *, is_last: bool = False, **more: Any) -> bytes:
        return _line(self._chunk(said, candidates, is_last=is_last) | more)

    def _chunk(self, said: Said, candidates: list[Any], *, is_last: bool) -> dict[str, Any]:
        chunk: dict[str, Any] = {"candidates": candidates} if candidates else {}
        if not said.script.nousage:
            chunk["usageMetadata"] = _usage(said, is_last)
        return chunk | {"modelVersion": said.model, "responseId": f"resp{said.number}"}

    # Errors

    def refusal(self, refused: Refused) -> Any:
        error: dict[str, Any] = {
            "code": refused.status,
            "message": refused.message,
            "status": refused.kind or "INVALID_ARGUMENT",
        }
        if details := refused.more.get("details"):
            error["details"] = details
        elif refused.more.get("retryafter") is not None:
            delay = f"{refused.more['retryafter']:g}s"
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
        return {"error": error}

    def failure(self, status: int, model: str, script: Script) -> Refused:
        refused = super().failure(status, model, script)
        if status == 401:  # a wrong key is an invalid argument here
            refused.status = 400
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            info = {"@type": kind, "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            refused.more["details"] = [info]
        return refused

    def overflow(self, asked: int, limit: int) -> Refused:
        return Refused(f"The input token count ({asked}) exceeds the maximum number of tokens allowed ({limit}).")

    def unpaid(self) -> Refused:
        violation = {
            "quotaMetric": "generate_content_free_tier_requests",
            "quotaId": "GenerateRequestsPerDay-FreeTier",
        }
        details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]
        return Refused(self.wording[429][1], 429, "RESOURCE_EXHAUSTED", details=details)

    def blocked(self, script: Script) -> None:
        return None


def is_signing(model: str, script: Script) -> bool:
    """Whether the model wants the signatures of its calls back."""
    return model.startswith("gemini-3") or (script.think > 0 and not script.inline)


def running_turn(contents: list[Any]) -> list[int]:
    """The places of the calls since the last content in which a person said something."""
    found: list[int] = []
    for place in range(len(contents) - 1, -1, -1):
        content = contents[place]
        if content["role"] != "model" and not count(content, "functionResponse"):
            break
        if count(content, "functionCall"):
            found.insert(0, place)
    return found


def _check_signature(part: dict[str, Any], signature: str, record: Record) -> None:
    known = [signed("gemini", text) for text in _signs(part)]
    dummies = [*DUMMIES, *(b64encode(dummy.encode()).decode() for dummy in DUMMIES)]
    if signature in dummies or signature in known or ("functionCall" not in part and signature.startswith("Er")):
        return
    if "/projects/" in record.path:
        raise Refused("Unable to submit request because Thought signature is not valid.")
    raise Refused("Corrupted thought signature.")


def _signs(part: dict[str, Any]) -> list[str]:
    call = part.get("functionCall")
    return [canonical([call["name"], call.get("args", {})])] if call else [part.get("text", "")]


def _unsigned(name: str, place: int, record: Record) -> Refused:
    if "/projects/" in record.path:
        return Refused(
            f"Unable to submit request because function call `{name}` in the {place}. content block is missing a"
            " `thought_signature`. Learn more:"
            " https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures"
        )
    return Refused(
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work"
        " correctly, and missing thought_signature may lead to degraded model performance. Additional data, function"
        f" call `default_api:{name}` , position {place}. Please refer to {SIGNATURE_DOCS} for more details."
    )


def _read(prompt: Prompt, content: dict[str, Any]) -> None:
    parts = content["parts"]
    said = [part["text"] for part in parts if part.get("text") and not part.get("thought")]
    prompt.characters += sum(
        len(json.dumps(part)) for part in parts if "inlineData" not in part and "text" not in part
    )
    prompt.characters += sum(map(len, said))
    if content["role"] == "model":
        prompt.rounds += bool(count(content, "functionCall"))
        return
    results = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    if results:
        texts = [next(iter(result.values()), "") if len(result) == 1 else result for result in results]
        told_ = [text if isinstance(text, str) else json.dumps(text) for text in texts]
        prompt.results = "\n".join([*filter(None, [prompt.results]), *told_])
    if len(results) < len(parts) and (said or not results):
        images = [part["inlineData"] for part in parts if "inlineData" in part]
        prompt.question, prompt.rounds, prompt.results = "\n".join(said), 0, ""
        prompt.images = [told(image["mimeType"], b64decode(image["data"])) for image in images]


def _parts(said: Said) -> Iterator[dict[str, Any]]:
    """Each part of the answer."""
    if not said.script.hidden:
        yield from ({"text": token, "thought": True} for token in said.thoughts)
    yield from ({"text": token} for token in said.text)
    if said.script.picture:
        yield {"inlineData": {"mimeType": "image/png", "data": b64encode(PICTURE).decode()}}
    if said.reason == "MALFORMED_FUNCTION_CALL":
        return
    for index, call in enumerate(said.calls):
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": call.value or {}}}
        if index == 0 and is_signing(said.model, said.script):  # of parallel calls only the first is signed
            part["thoughtSignature"] = signed("gemini", _signs(part)[0])
        yield part


def _signed_text(said: Said) -> dict[str, str]:
    return {"thoughtSignature": signed("gemini", "".join(said.text))}


_RATING = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}


def _blocked(script: Script) -> dict[str, Any]:
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT" if script.policy else "SAFETY"}}


def _grounding(script: Script) -> dict[str, Any]:
    if not script.cite:
        return {}
    chunks = [{"web": {"uri": url, "title": title}} for url, title in map(source, range(script.cite))]
    support = {"segment": {"startIndex": 0, "endIndex": 2, "text": "w0"}, "groundingChunkIndices": [0]}
    metadata = {"webSearchQueries": ["w0"], "groundingChunks": chunks, "groundingSupports": [support]}
    return {"groundingMetadata": metadata}


def _usage(said: Said, is_last: bool) -> dict[str, Any]:
    """`candidatesTokenCount` is the answer without its thoughts; while it streams it is left out here."""
    figures = said.figures
    usage: dict[str, Any] = {"promptTokenCount": figures.prompt, "totalTokenCount": figures.prompt}
    if is_last:
        usage["candidatesTokenCount"] = figures.answered - figures.thought
        usage["totalTokenCount"] = figures.prompt + figures.answered
    if figures.thought:
        usage["thoughtsTokenCount"] = figures.thought
    if figures.cached:
        usage["cachedContentTokenCount"] = figures.cached
    return usage | {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": figures.prompt}]}


def _line(value: Any) -> bytes:
    return b"data: " + dumps(value) + b"\r\n\r\n"
