from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from assistant.lifecycle import recovery
from assistant.models import Message


class Command(BaseCommand):
    help = "Finds answers that nothing brings on (no living worker, no job) and recovers or fails them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done, change nothing.")
        parser.add_argument(
            "--older-than", type=float, default=0, metavar="SECONDS", help="Leave younger ones alone."
        )
        parser.add_argument("--policy", choices=["retry", "fail"], default="retry")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["older_than"] < 1e9:
            raise CommandError("--older-than must be a number of seconds of at least 0.")
        born_before = timezone.now() - timedelta(seconds=options["older_than"])
        done = failed = 0
        for message in recovery.all_stuck_answers():
            if message.created_at > born_before:
                continue
            reason = recovery.reason_stuck(message)
            if options["dry_run"]:
                may_retry = options["policy"] == "retry" and recovery.may_try_again(message)
                outcome: str | None = "would retry" if may_retry else "would fail"
            else:
                try:
                    outcome = recovery.recover(message, may_retry=options["policy"] == "retry")
                except Exception as error:
                    outcome, failed = f"not recovered: {error}", failed + 1
            if outcome:
                done += 1
                self._tell(message, reason, outcome)
        verb = "found" if options["dry_run"] else "handled"
        self.stdout.write(f"{done} stuck messages {verb}.")
        if failed:
            raise CommandError(f"{failed} of them could not be handled.")

    def _tell(self, message: Message, reason: str, outcome: str) -> None:
        age = (timezone.now() - message.created_at).total_seconds()
        self.stdout.write(
            f"{message.pk} session={message.session_id} {message.status} attempt={message.attempt} "
            f"age={age:.0f}s: {reason}: {outcome}"
        )
