from __future__ import annotations

import math

from assistant.delivery import rate_limits


class Refused(Exception):
    """Something a person asked for can't be done now. Nothing was changed.

    `code` is for programs, `detail` a sentence for people, `status` the HTTP status that fits.
    """

    def __init__(self, code: str, detail: str, status: int = 409, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after


def check_rate(what: str, limit: int, detail: str, code: str = "too_fast") -> None:
    """Counts one more of `what`; raises Refused (429) if that is more than `limit` in a minute (0: any number).

    `{seconds}` in the detail becomes the time to wait.
    """
    if wait := rate_limits.take(what, limit, seconds=60):
        seconds = math.ceil(wait)
        raise Refused(code, detail.format(seconds=seconds), status=429, retry_after=seconds)
