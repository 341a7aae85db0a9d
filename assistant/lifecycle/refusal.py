from __future__ import annotations


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
