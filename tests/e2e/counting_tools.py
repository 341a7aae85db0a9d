"""Tools for tests that kill their worker: each run leaves a line in the file that COUNT_FILE names."""

from __future__ import annotations

import asyncio
import os
import time

from assistant.tools import Context, Service, form_of, link_of

counting = Service("counting", title="Counting")


def _note(line: str) -> None:
    with open(os.environ["COUNT_FILE"], "a") as file:
        file.write(f"{line}\n")


def _gate(name: str) -> bool:
    """Whether the test has opened this gate: a file beside the counts."""
    return os.path.exists(f"{os.environ['COUNT_FILE']}.{name}")


@counting.tool(title="Pay", doing="Paying", timeout=60)
def pay(amount: int) -> str:
    """Pays, once. Waits in the middle until the gate is open."""
    _note(f"pay {amount}")
    while not _gate("pay"):
        time.sleep(0.02)
    return f"Paid {amount}."


@counting.tool(title="Note", timeout=60)
async def note(context: Context, key: str, seconds: float = 0.4) -> str:
    """Notes which call it is, once, and takes its time."""
    _note(str(context.call_id))
    await asyncio.sleep(seconds)
    return f"Noted {key}."


@counting.tool(title="Peek", timeout=60, idempotent=True)
async def peek(context: Context, key: str, seconds: float = 0.4) -> str:
    """As `note`, but twice is harmless."""
    _note(str(context.call_id))
    await asyncio.sleep(seconds)
    return f"Seen {key}."


@counting.tool(title="Crash", timeout=60)
def crash() -> str:
    """Crashes."""
    raise RuntimeError("a secret detail")


@counting.tool(title="Hang", timeout=1)
def hang() -> str:
    """Comes back long after its time is up."""
    time.sleep(5)
    return "too late"


@counting.tool(title="Look", doing="Looking", timeout=60, idempotent=True)
async def look(what: str) -> str:
    """Looks. Waits in the middle until the gate is open."""
    _note(f"look {what}")
    try:
        while not _gate("look"):
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        _note("looks away")
        raise
    return f"Seen {what}."


@counting.tool(title="Wipe", timeout=60, approval=True)
def wipe(what: str) -> str:
    """Deletes."""
    _note(f"wipe {what}")
    return f"{what} is gone."


@counting.tool(title="Book a seat", doing="Looking for seats", timeout=30)
async def book(context: Context, train: str) -> str:
    """Books a seat, and asks which.

    train: which one
    """
    filled = await context.ask(
        form_of(
            f"Where would you like to sit in {train}?",
            {
                "type": "object",
                "properties": {
                    "seats": {"type": "integer", "title": "Seats", "minimum": 1, "maximum": 9, "default": 2},
                    "mail": {
                        "type": "string",
                        "title": "E-mail",
                        "format": "email",
                        "description": "For the ticket.",
                    },
                    "class": {
                        "type": "string",
                        "title": "Class",
                        "enum": ["1", "2"],
                        "enumNames": ["First", "Second"],
                    },
                    "extras": {
                        "type": "array",
                        "title": "With",
                        "items": {
                            "anyOf": [{"const": "bike", "title": "a bicycle"}, {"const": "dog", "title": "a dog"}]
                        },
                    },
                    "window": {"type": "boolean", "title": "At the window"},
                },
                "required": ["seats", "class"],
            },
        )
    )
    signed = await context.ask(link_of("Please pay there.", "https://pay.example/7?of=alice"))
    return f"{dict(filled.content)}, paid: {signed.action}."
