"""Runs the calls of one round side by side, each to exactly one result: it never raises and never outlives its time.

Async tools run on the worker's loop and are cancelled when their time is up or the answer is stopped. Sync tools run in
threads of their own; a thread can't be stopped, so it is left alone and what it returns is thrown away.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import connections

from assistant import conf
from assistant.database import Database
from assistant.lifecycle.call_endings import CHANGED
from assistant.lifecycle.rounds import CallResult, NewCall
from assistant.llm.pieces import ToolCall as AskedCall
from assistant.models.message import Claim
from assistant.models.tool_call import CallStatus, ToolCall
from assistant.presentation import events
from assistant.prompt.context import Prompt
from assistant.prompt.history import shortened
from assistant.text.arguments import arguments_of
from assistant.text.blank import is_blank
from assistant.text.storable import clean
from assistant.toolbox.offer import Offer
from assistant.tools.declare import Context, Offered, Result, ToolError, first_line
from assistant.worker.tool_forms import Asking, Clock

logger = logging.getLogger(__name__)

MOST_CALLS = 32  # in one round
SIDE_BY_SIDE = 16
MOST_THREADS = 64  # of sync tools in one process, with those that nobody waits for any more
STATUS_SECONDS = 0.5  # between two status lines of one call
OBEY_SECONDS = 1.0  # for an async tool to end once it was cancelled

_threads = threading.BoundedSemaphore(MOST_THREADS)


def new_call(asked: AskedCall, tools: Mapping[str, Offered]) -> NewCall:
    """A call as it is stored: what the model wrote, without what no database stores, and what is known of the tool."""
    tool = tools.get(asked.name)
    name, call_id, arguments = (clean(text) for text in (asked.name, asked.id, asked.arguments))
    if tool is None:
        return NewCall(call_id, name, arguments, title=name or "A tool without a name")
    readable = arguments_of(arguments) is not None
    return NewCall(
        call_id,
        name,
        arguments,
        title=clean(tool.title),  # an MCP server's words
        doing=clean(tool.doing),
        is_idempotent=tool.is_idempotent,
        needs_approval=tool.needs_approval and readable,  # nobody is asked to allow what can't be run
    )


def context_of(claim: Claim, prompt: Prompt) -> Context:
    """What the tools of an answer may know; the call's own part is filled in for each call."""
    return Context(claim.session_id, claim.message_id, claim.message_id, prompt.user, prompt.user_context)


@dataclass(frozen=True, slots=True)
class CallRunner:
    """Where calls are run: for which claim, with which tools, in whose name."""

    claim: Claim
    offer: Offer
    context: Context  # its call_id, status and ask are each call's own
    database: Database
    ends_at: float  # when the turn has to end, on the monotonic clock

    async def run(self, calls: list[ToolCall], settle: Callable[[ToolCall, CallResult], Awaitable[Any]]) -> None:
        """Runs `calls` and gives each result to `settle` as soon as it is there. Cancelling it cancels them."""
        room = asyncio.Semaphore(SIDE_BY_SIDE)

        async def run_one(call: ToolCall) -> None:
            async with room:
                result = await self.result_of(call)
            await settle(call, result)

        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(run_one(call), name=f"call {call.pk}")

    async def result_of(self, call: ToolCall) -> CallResult:
        tool = self.offer.tools.get(call.name)
        if tool is None:
            for server in self.offer.missing:
                if call.name.startswith(f"{server.name}__"):
                    return _failed(f"Not run: {server.title} {server.said}.", server.said.capitalize())
            known = ", ".join(self.offer.tools) or "none"
            return _failed(f"There is no tool {call.name[:80]!r}. The tools are: {known}.", "There is no such tool")
        if call.place >= MOST_CALLS:
            return _failed(f"Not run: at most {MOST_CALLS} calls can be made at once.", "Too many calls at once")
        arguments = arguments_of(call.runs_with)
        if arguments is None:
            return _failed(
                "Not run: the arguments are not a JSON object with each name once. Write them again.",
                "Unreadable arguments",
            )
        line = _StatusLine(self.claim, call)
        clock = Clock(tool.timeout_seconds)
        asking = Asking(self.claim, call.pk, self.database, clock, self.ends_at)
        context = replace(self.context, call_id=call.pk, status=line.say, ask=asking.ask)
        try:
            result = await _run(tool, context, arguments, clock)
        finally:
            line.close()
        if call.changed_arguments:
            result = replace(result, result=CHANGED.format(call.changed_arguments) + result.result)
        return result


async def _run(tool: Offered, context: Context, arguments: dict[str, Any], clock: Clock) -> CallResult:
    """The result of one call, within the tool's time."""
    working = asyncio.ensure_future(_start(tool, context, arguments))
    try:
        if not await clock.wait(working):
            return _failed(
                f"The tool took longer than {tool.timeout_seconds:g} seconds and was given up. "
                "It is not known whether it took effect.",
                f"Took longer than {tool.timeout_seconds:g} s",
            )
        result = working.result()
        if not isinstance(result, Result):
            raise TypeError(f"{tool.name} returned {type(result).__name__}, not Result")
    except ToolError as error:
        return _failed(str(error), first_line(str(error)))
    except asyncio.CancelledError:
        if (this := asyncio.current_task()) and this.cancelling():
            raise
        return _failed("The tool was cancelled.", "Cancelled")  # by itself
    except Exception:
        logger.exception("The tool %s failed (call %s).", tool.name, context.call_id)
        return _failed("The tool failed with an error of its own. The operator's log has the details.", "Failed")
    else:
        return CallResult(CallStatus.SUCCESS, _shortened(clean(result.text)), clean(result.summary), result.images)
    finally:
        if not working.done():
            working.cancel()
            await _obeyed(tool, working)


async def _obeyed(tool: Offered, working: asyncio.Future[Any]) -> None:
    if tool.is_async:
        await asyncio.wait({working}, timeout=OBEY_SECONDS)
        if not working.done():
            logger.error("The tool %s does not end though it was cancelled.", tool.name)


def _start(tool: Offered, context: Context, arguments: dict[str, Any]) -> Awaitable[Any]:
    if tool.is_async:
        started: Awaitable[Any] = tool.run(context, arguments)
        return started
    return _in_thread(lambda: tool.run(context, arguments), tool.name)


def _in_thread(work: Callable[[], Any], name: str) -> asyncio.Future[Any]:
    """`work()` in a thread that keeps no process from ending. What comes after the future was cancelled is thrown away."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    if not _threads.acquire(blocking=False):
        done.set_exception(ToolError("Too many tools are busy here just now. Try again later."))
        return done

    def tell(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised if isinstance(raised, Exception) else RuntimeError(repr(raised))
        finally:
            connections.close_all()
            _threads.release()
        try:
            loop.call_soon_threadsafe(tell, result, error)
        except RuntimeError:  # the loop has ended: nobody is waiting
            logger.info("The tool %s returned after its worker had ended.", name)

    threading.Thread(target=run, name=f"tool {name}", daemon=True).start()
    return done


class _StatusLine:
    """What one running call says about itself, told to the viewers at most twice a second."""

    def __init__(self, claim: Claim, call: ToolCall) -> None:
        self._claim, self._call = claim, call
        self._loop = asyncio.get_running_loop()
        self._text = ""
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def say(self, text: str) -> None:
        """From any thread. Of a text in which there is nothing to see nobody is told."""
        text = clean(str(text))[:200]
        if is_blank(text):
            return
        try:
            self._loop.call_soon_threadsafe(self._note, text)
        except RuntimeError:
            return  # the loop has ended: nobody is listening

    def _note(self, text: str) -> None:
        self._text = text
        if self._timer is None and not self._is_closed:
            wait = self._last + STATUS_SECONDS - time.monotonic()
            self._timer = self._loop.call_later(max(0.0, wait), self._send)

    def _send(self) -> None:
        self._timer = None
        self._last = time.monotonic()
        sending = self._loop.create_task(events.tool_status(self._claim, self._call.pk, self._text))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    def close(self) -> None:
        self._is_closed = True
        if self._timer:
            self._timer.cancel()


def _failed(result: str, summary: str) -> CallResult:
    return CallResult(CallStatus.ERROR, _shortened(clean(result)), clean(summary))


def _shortened(text: str) -> str:
    """Both ends of it: what went wrong stands last, and whose table it is first."""
    return shortened(text, conf.settings.result_length)
