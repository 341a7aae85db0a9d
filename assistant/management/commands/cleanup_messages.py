from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from assistant.delivery import clock
from assistant.lifecycle import recovery
from assistant.models import Message

MANY = 50  # from so many on a bar tells how far it is, where somebody looks on
SOME_FAILED, BAD_ARGUMENT, DATABASE_AWAY = 1, 2, 3


class Command(BaseCommand):
    help = (
        "Finds answers that nothing brings on (no living worker, no job) and recovers or fails them. Exit codes: 0 all "
        "is well or was brought on, 1 some could not be handled, 2 a wrong argument, 3 the database is away."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done, change nothing.")
        parser.add_argument(
            "--older-than", type=float, default=0, metavar="SECONDS", help="Leave younger ones alone."
        )
        parser.add_argument("--policy", choices=["retry", "fail"], default="retry")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["older_than"] < 1e9:
            raise CommandError("--older-than must be a number of seconds of at least 0.", returncode=BAD_ARGUMENT)
        try:
            done, failed = self._go_through(options)
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database is away: {str(error).strip()}", returncode=DATABASE_AWAY) from error
        verb = "found" if options["dry_run"] else "handled"
        self.stdout.write(f"{done} stuck {'message' if done == 1 else 'messages'} {verb}.")
        if failed:
            raise CommandError(f"{failed} of them could not be handled.", returncode=SOME_FAILED)

    def _go_through(self, options: dict[str, Any]) -> tuple[int, int]:
        """Returns how many were told of, and how many of these failed."""
        born_before = clock.now() - timedelta(seconds=options["older_than"])
        done = failed = 0
        with _bar() as bar:
            for message in recovery.all_stuck_answers():
                bar.update()
                if message.created_at > born_before:
                    continue
                reason = recovery.reason_stuck(message)
                if options["dry_run"]:
                    may_retry = options["policy"] == "retry" and recovery.may_try_again(message)
                    outcome: str | None = "would retry" if may_retry else "would fail"
                else:
                    try:
                        outcome = recovery.recover(message, may_retry=options["policy"] == "retry")
                    except (OperationalError, InterfaceError):
                        raise  # not this row's fault, and the next would fare no better
                    except Exception as error:
                        outcome, failed = f"not recovered: {error}", failed + 1
                if outcome:
                    done += 1
                    bar.clear()  # the line takes its place; it comes again below
                    self._tell(message, reason, outcome)
        return done, failed

    def _tell(self, message: Message, reason: str, outcome: str) -> None:
        age = (clock.now() - message.created_at).total_seconds()
        self.stdout.write(
            f"{message.pk} session={message.session_id} {message.status} attempt={message.attempt} "
            f"age={age:.0f}s: {reason}: {outcome}"
        )


def _bar() -> Any:
    """On the terminal's stderr; silent under cron, in a pipe, and for the few rows of a usual day."""
    total = recovery.count_stuck_answers() if sys.stderr.isatty() else 0
    try:
        from tqdm import tqdm  # parley[progress] brings it; without it there is no bar
    except ModuleNotFoundError:
        return nullcontext(SimpleNamespace(update=lambda: None, clear=lambda: None))
    return tqdm(total=total, unit="answer", file=sys.stderr, disable=total < MANY, leave=False)
