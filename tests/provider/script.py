"""The grammar of scripts, and what a script makes the model say. Pure: no clock, no network.

A script is words separated by `-` or `;`. A word is a name (`unicode`), a name with a number (`n300`) or a
name with a value (`first=0.5`); their order doesn't matter. A word that doesn't exist raises ScriptError (the
server answers 400 `invalid_script`), so that a misspelt test fails. What stands before a `~` is the name of a
real model, for those who go by it (`claude-sonnet-4-5~think=3`), and says nothing.

The same words mean the same in every protocol of tests/protocols; the ones marked with a star only exist there.

What is said: one of these, `words` if there is none
    words, paced       `w0 w1 w2 ...`
    unicode            emoji, combining marks, right to left, CJK; one code point in a token
    markdown           a document with everything
    echo               the last user message
    big=SIZE           numbered lines, `big=64K`, `big=2M`
    blank, empty       only white space; no token at all
    results            repeats the results of the tools
    images *           says which images stand in the last question: `image/png, 68 bytes`
and of it
    n=COUNT            how many tokens (words: 20; unicode and markdown: once through)
    pieces=K           the text again in tokens of K characters (1)
    salt               each word carries a hash of the question: shows mixed-up sessions
    think=K            K tokens of reasoning come first (`r0 r1 ...`), where the protocol has them, and signed where
                       it signs. Its rules about what must come back hold then
    hidden *           the reasoning comes encrypted only
    inline             the reasoning stands in the text, as `<think>...</think>`
    unopened           with `inline`: no tag opens it, for the model's template has written that one
    cite=K *           K sources of the text
    picture *          an image after the text
When
    rate=R             tokens a second on an absolute schedule; without it as fast as the socket takes them
    first=S            seconds before the first token (the headers go at once)
    burst=K            K tokens at once, then a pause that keeps the rate, or of pause=S seconds
    keepalive=S        an SSE comment every S seconds while the first token is awaited
    hold=K             after K tokens waits for `POST /control/release`: for tests that need no clock
    split              HTTP chunks end inside of frames and of UTF-8 sequences
    dribble=S,K        from token K (0) on the stream goes one byte each S seconds
Faults; K counts the tokens (reasoning and tool fragments too) that are sent before
    401 403 404 429 500 502 503 ..., status=CODE   an HTTP error as OpenAI words it; 429 with retryafter=S
    quota              429 with the code `insufficient_quota`
    context[=CHARS]    400 `context_length_exceeded` (only if the messages have CHARS characters or more)
    filter, policy     400 `content_filter` as Azure says it; 400 `content_policy_violation` as OpenAI does
    hang[=S]           nothing, not even headers, for S seconds or until the client goes
    cut=K, reset=K     the connection is closed in mid stream; the same by a TCP reset
    silence=K          nothing more, the socket stays open
    error=K            an error object in the stream, which ends there
    bad=K              a frame of broken JSON, then the rest
    finish=REASON      length, content_filter, or none: no chunk with a finish_reason. * refusal, sequence (a stop
                       sequence), window (the model's window is full), pause, recitation, malformed (a call
                       that can't be read), where the protocol has a word for it
    stops *            Gemini says its STOP with every piece of the text
    nodone             no `data: [DONE]`
    fails=K            the faults above (503 if there is none) hit only the first K requests of the same
                       script with the same last user message; later ones succeed
Tools
    tool=NAME          asks for this tool; `tool=weather:city:Paris,days:2` gives arguments (numbers are
                       numbers). Again for parallel calls. It need not exist
    rounds=R           asks R times (1) after a user message, then says the text
    fragment=K         arguments are streamed K characters at a time (5)
    badargs            the arguments are not JSON
    preamble=K         K tokens of the text are said before the calls
Other
    usage=IN,OUT       the numbers of tokens reported; IN is the whole prompt, OUT has the reasoning in it
    cached=READ,WRITE * so many of the prompt's came from the provider's cache, so many were put there
    nousage *          nothing is said about tokens
    show=SECONDS *     Ollama's /api/show takes so long; `show=hang` never answers; `show=404`, `show=500`: such
                       an error (100 and more are errors)
    plain *            a model of Ollama's that knows neither tools nor thinking, and refuses them
    tag=ANY            nothing: makes the name unique

The same names are the keys of a step of a posted script (server.py), true for those without a value. There
`text` and `thoughts` (strings), `tokens` (the exact pieces) and `tools` (`[{"name", "arguments": object or raw string,
"id"?}]`, asked for each time unless `rounds` says otherwise) stand beside them.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from . import texts

Step = str | Mapping[str, Any]  # a script's name, or a step of a posted script
ALWAYS = 1_000_000  # rounds of a posted step that has tools: it always asks


class ScriptError(ValueError):
    """The script has a word or a value that doesn't exist."""


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True)
class Script:
    """One behaviour for one request. Times in seconds, places counted in tokens."""

    kind: str = "words"
    n: int | None = None
    text: str = ""
    tokens: tuple[str, ...] = ()
    big: int = 0
    salt: bool = False
    pieces: int | None = None
    think: int = 0
    thought: str = ""  # what is thought, in so many tokens
    hidden: bool = False
    inline: bool = False
    unopened: bool = False
    cite: int = 0
    picture: bool = False

    rate: float = 0.0
    first: float = 0.0
    burst: int = 1
    pause: float | None = None
    keepalive: float = 0.0
    hold: int | None = None
    split: bool = False

    status: int | None = None
    retryafter: float | None = None
    quota: bool = False
    context: int | None = None
    filter: bool = False
    policy: bool = False
    hang: float | None = None
    dribble: tuple[float, int] | None = None
    cut: int | None = None
    reset: int | None = None
    silence: int | None = None
    error: int | None = None
    bad: int | None = None
    finish: str = ""
    stops: bool = False
    nodone: bool = False
    fails: int | None = None

    tools: tuple[ToolCall, ...] = ()
    rounds: int = 1
    fragment: int = 5
    preamble: int = 0
    usage: tuple[int, int] | None = None
    cached: tuple[int, int] | None = None
    nousage: bool = False
    show: float = 0.0
    plain: bool = False

    def offset(self, index: int) -> float:
        """Seconds from the first token to token `index`."""
        bursts = index // self.burst
        if self.pause is not None:
            return bursts * self.pause
        return bursts * self.burst / self.rate if self.rate else 0.0

    @property
    def stop(self) -> int | None:
        """The number of tokens after which a fault ends the stream, None if it runs to its end."""
        places = [place for place in (self.cut, self.reset, self.silence, self.error) if place is not None]
        return min(places) if places else None

    def without_faults(self) -> "Script":
        defaults = {field.name: field.default for field in fields(self) if field.name in FAULTS}
        return replace(self, **defaults)  # type: ignore[arg-type]

    def on_attempt(self, number: int) -> "Script":
        """The script as the request `number` (from 0) with the same question meets it."""
        if self.fails is None:
            return self
        if number >= self.fails:
            return self.without_faults()
        faulty = any(getattr(self, field.name) != field.default for field in fields(self) if field.name in FAULTS)
        return self if faulty else replace(self, status=503)


FAULTS = (
    "status", "retryafter", "quota", "context", "filter", "policy", "hang", "dribble",
    "cut", "reset", "silence", "error", "bad", "finish", "nodone",
)  # fmt: skip

_KINDS = {"words", "paced", "unicode", "markdown", "echo", "blank", "empty", "results", "images"}
_FLAGS = {
    "salt",
    "split",
    "quota",
    "filter",
    "policy",
    "nodone",
    "hidden",
    "inline",
    "unopened",
    "picture",
    "stops",
    "nousage",
    "plain",
}
_COUNTS = {"n", "think", "burst", "hold", "status", "cut", "reset", "silence", "error", "bad", "fails",
           "rounds", "fragment", "preamble", "cite"}  # fmt: skip
_SECONDS = {"rate", "first", "pause", "keepalive", "retryafter"}
_FINISHES = {
    "stop", "length", "content_filter", "none", "refusal", "sequence", "window", "pause", "recitation", "malformed",
}  # fmt: skip
_WORD = re.compile(r"([a-z]+)(?:=(.*)|([0-9.]+[KM]?))?", re.DOTALL)


def script_name(model: str) -> str:
    """A model's name without its providers: `bedrock/converse/words-n3` is `words-n3`."""
    return re.sub(r"^(?:[A-Za-z0-9_.]+/)+", "", model)


@lru_cache(maxsize=1024)
def parse(model: str) -> Script:
    """The script in a model's name, with or without its provider (`openai/`). Raises ScriptError."""
    found: dict[str, Any] = {}
    calls: list[ToolCall] = []
    bad_arguments = False
    for word in re.split("[-;]", re.sub(r"^[A-Za-z0-9_.:-]+~", "", script_name(model))):
        if re.fullmatch(r"[1-5]\d\d", word):
            found["status"] = int(word)
            continue
        match = _WORD.fullmatch(word)
        if not match:
            raise ScriptError(f"'{word}' in the script '{model}' is not a word.")
        name, value = match[1], match[2] if match[2] is not None else match[3]
        if name == "tool":
            calls.append(_tool(value))
        elif name == "badargs":
            bad_arguments = True
        elif name != "tag":
            found.update(_field(name, value, model))
    if bad_arguments:
        calls = [replace(call, arguments=call.arguments[:-1] + ', "broken') for call in calls]
    return replace(Script(), tools=tuple(calls), **found)


def from_step(step: Step) -> Script:
    """One step of a posted script: a script's name, or an object. Raises ScriptError."""
    if isinstance(step, str):
        return parse(step)
    found: dict[str, Any] = {}
    for name, value in step.items():
        if name == "text":
            found |= {"kind": "text", "text": value}
        elif name == "thoughts":
            found |= {"thought": value, "think": len(texts.split_like_a_model(value))}
        elif name == "tokens":
            found |= {"kind": "tokens", "tokens": tuple(value)}
        elif name == "kind":
            found |= _field(value, None, str(step))
        elif name == "tools":
            found["tools"] = tuple(_posted_tool(call) for call in value)
            found.setdefault("rounds", ALWAYS)
        elif isinstance(value, bool):
            found |= {name: value} if name in _FLAGS else _field(name, None, str(step)) if value else {}
        elif isinstance(value, list):
            found |= _field(name, ",".join(str(part) for part in value), str(step))
        else:
            found |= _field(name, str(value), str(step))
    return replace(Script(), **found)


def all_tokens(script: Script, question: str, results: str = "", images: str = "") -> list[str]:
    """Every token of the answer's text as if no fault came in between."""
    tokens = _tokens(script, question, results, images)
    return texts.split_evenly("".join(tokens), script.pieces) if script.pieces else tokens


def thoughts(script: Script) -> list[str]:
    """Every token of the reasoning; with `inline` in its tags."""
    tokens = [f"{' ' if number else ''}r{number}" for number in range(script.think)]
    if script.thought:
        tokens = texts.split_like_a_model(script.thought)
    if script.inline and tokens:
        tokens[0] = tokens[0] if script.unopened else f"<think>{tokens[0]}"
        tokens[-1] += "</think>\n\n"
    return tokens


def source(number: int) -> tuple[str, str]:
    """Address and title of the source `number` of `cite`."""
    return f"https://example.org/source/{number}", f"Source {number}"


# An image of one red pixel: what `picture` draws.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


def _tokens(script: Script, question: str, results: str, images: str) -> list[str]:
    if script.kind == "words":
        mark = texts.mark_of(question) if script.salt else ""
        tokens = texts.words(20 if script.n is None else script.n, mark)
    elif script.kind == "unicode":
        tokens = texts.unicode(script.n)
    elif script.kind == "markdown":
        tokens = texts.markdown(script.n)
    elif script.kind == "big":
        tokens = texts.big(script.big, script.pieces or 100)
    elif script.kind == "blank":
        tokens = [" ", "\n", " \n", "\t"]
    elif script.kind == "empty":
        tokens = []
    elif script.kind == "tokens":
        tokens = list(script.tokens)
    else:
        said = {"echo": question, "results": results, "images": images, "text": script.text}[script.kind]
        tokens = texts.split_like_a_model(said)
    return tokens


def expected_tokens(model: Step, last_user_message: str = "", attempt: int | None = None) -> list[str]:
    """The text tokens that the server streams for this model (or posted step), up to its fault if it has one.

    With `fails` it is the request that succeeds, unless `attempt` (from 0) asks for another. With tools it is
    the answer after their results. `results` can't be known here and raises ScriptError.
    """
    script = from_step(model)
    script = script.on_attempt(ALWAYS if attempt is None else attempt)
    if script.kind in ("results", "images"):
        raise ScriptError("What the tools return, and what images there are, is not known here.")
    refused = script.status or script.quota or script.filter or script.policy or script.context == 0
    if refused or script.hang == float("inf"):
        return []
    tokens = all_tokens(script, last_user_message)
    return tokens if script.stop is None else tokens[: max(0, script.stop - script.think)]


def expected_text(model: Step, last_user_message: str = "", attempt: int | None = None) -> str:
    """`expected_tokens` in one string: what a client that lost and doubled nothing has put together."""
    return "".join(expected_tokens(model, last_user_message, attempt))


def _field(name: str, value: str | None, source: str) -> dict[str, Any]:
    """The field of Script that a word sets."""
    try:
        if name in _KINDS:
            if value is not None:
                raise ValueError
            return {"kind": "words" if name == "paced" else name}
        if name in _FLAGS and value is None:
            return {name: True}
        if name in _COUNTS and value is not None:
            return {name: int(value)}
        if name in _SECONDS and value is not None:
            return {name: float(value)}
        special = _SPECIAL.get(name)
        if special:
            return special(value)
    except (ValueError, IndexError):
        raise ScriptError(f"'{name}' in the script '{source}' can't be '{value}'.") from None
    raise ScriptError(f"'{name}' in the script '{source}' is not known{'' if value else ', or needs a value'}.")


def _size(value: str | None) -> int:
    number, unit = (value[:-1], value[-1]) if value and value[-1] in "KM" else (value or "", "")
    return int(float(number) * {"": 1, "K": 1024, "M": 1024 * 1024}[unit])


def _pair(value: str | None) -> list[str]:
    if not value:
        raise ValueError
    return value.split(",")


def _finish(value: str | None) -> dict[str, Any]:
    if value not in _FINISHES:
        raise ValueError
    return {"finish": value}


def _dribble(value: str | None) -> dict[str, Any]:
    seconds, *start = _pair(value)
    return {"dribble": (float(seconds), int(start[0]) if start else 0)}


_SPECIAL: dict[str, Callable[[str | None], dict[str, Any]]] = {
    "big": lambda value: {"kind": "big", "big": _size(value)},
    "pieces": lambda value: {"pieces": int(value or 1)},
    "context": lambda value: {"context": _size(value) if value else 0},
    "hang": lambda value: {"hang": float(value) if value else float("inf")},
    "finish": _finish,
    "dribble": _dribble,
    "usage": lambda value: {"usage": (int(_pair(value)[0]), int(_pair(value)[1]))},
    "cached": lambda value: {"cached": (int(_pair(value)[0]), int(_pair(value)[1]))},
    "show": lambda value: {"show": float("inf") if value == "hang" else float(value or "")},
}


def _tool(value: str | None) -> ToolCall:
    if not value:
        raise ScriptError("'tool' needs a name.")
    name, _, rest = value.partition(":")
    arguments: dict[str, Any] = {}
    for pair in rest.split(",") if rest else ():
        key, _, text = pair.partition(":")
        arguments[key] = json.loads(text) if re.fullmatch(r"\d+(\.\d+)?|true|false|null", text) else text
    return ToolCall(name, json.dumps(arguments))


def _posted_tool(call: Mapping[str, Any]) -> ToolCall:
    arguments = call.get("arguments", {})
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(call["name"], raw, call.get("id"))
