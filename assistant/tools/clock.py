"""What time it is, anywhere."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from assistant.tools import Result, Service, ToolError

clock = Service("clock", title="Clock", description="Knows the date and the time, in any time zone.")


@clock.tool(title="Current time", doing="Looking at the clock", timeout=5, idempotent=True)
def current_time(time_zone: str = "UTC") -> Result:
    """The current date and time, with the weekday and the offset from UTC.

    time_zone: an IANA name such as Europe/Berlin or America/New_York
    """
    try:
        now = datetime.now(ZoneInfo(time_zone))
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder
        raise ToolError(
            f"There is no time zone {time_zone[:80]!r}; use an IANA name such as Europe/Berlin."
        ) from None
    return Result(f"{now:%A}, {now.isoformat(timespec='seconds')} ({time_zone})", f"{now:%A, %H:%M} in {time_zone}")
