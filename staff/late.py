"""Late work: how late a hand-in was, and what that costs, if staff want it to cost anything.

Times come from Blackboard's file names or from a list, never from files or zips: those say when somebody copied.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hi_mnist.settings import setting
from staff import tables

DAY = 86_400  # seconds
UNKNOWN = "unknown"
# As people, spreadsheets and Blackboard write it: 2026-12-01T23:59+08:00, 2026/12/1 23:59:00, 2026-12-01-23-59-00.
_TIME = re.compile(
    r"(2\d{3})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T-]|\s+)(\d{1,2})[:-](\d{2})(?:[:-](\d{2}))?\s*(Z|[+-]\d{2}:?\d{2})?",
    re.A | re.I,
)
_DURATION = re.compile(r"\+?(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m(?:in)?)?", re.A | re.I)


@dataclass
class Policy:
    """What staff say of late work. Its methods raise ``ValueError`` with a text for people if a value is wrong."""

    deadline: str | None = setting(None, "when the work is due, as 2026-12-01T23:59+08:00", metavar="TIME")
    timezone: str | None = setting(
        None, "of times without one: Asia/Shanghai (default: the deadline's)", metavar="ZONE"
    )
    grace: str | None = setting(None, "that much later is still in time, as 15m or 2h", metavar="DURATION")
    penalty: float | None = setting(None, "points off for each day late or part of one", low=0, high=1000, metavar="P")
    late_days: int | None = setting(None, "each student's days late that cost nothing", low=0, high=1000, metavar="N")

    def instant(self, text: str, last: bool = False) -> float:
        """A time as seconds since 1970; of one that the clocks show twice, the second (``last``) is a deadline's."""
        try:
            zone = ZoneInfo(self.timezone) if self.timezone else _time(self.deadline or text).tzinfo
        except (OSError, LookupError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"the timezone {self.timezone!r} is not known; name one as Asia/Shanghai") from None
        time = _time(text)
        if not (time.tzinfo or zone):
            raise ValueError(f"{text[:40]!r} has no offset such as +08:00, and no timezone is given")
        return time.replace(tzinfo=time.tzinfo or zone, fold=int(last)).timestamp()

    def judge(self, at: str, extension: str = "", late_days: str = "") -> tuple[str, float, str]:
        """How late what was handed in ``at`` a time is, the points that it costs, and a note; empty without a deadline.

        ``at`` is empty if nobody knows. ``extension`` is the student's own deadline, or how much later that is;
        ``late_days`` is what is left of the student's account, empty for what all have.
        """
        if self.deadline is None:
            return "", 0.0, ""
        own = re.match("[0-9]{4}", tables.narrow(extension))
        due = self.instant(extension if own else self.deadline, last=True) + (0 if own else _seconds(extension))
        if not re.fullmatch("[0-9]{0,4}", late_days):
            raise ValueError(f"late_days {late_days[:40]!r} is not a whole number of days")
        grace, over = _seconds(self.grace or ""), self.instant(at) - due if at else 0
        if over <= grace:
            return "no" if at else UNKNOWN, 0.0, ""
        hours, days = math.ceil(over / 3600), math.ceil((over - grace) / DAY)
        account = int(late_days or self.late_days or 0)
        free = min(days, account) if self.late_days is not None else 0
        note = "" if self.late_days is None else f"{free} of {account} late days used, {days - free} more"
        return f"{hours // 24} d {hours % 24} h", (days - free) * (self.penalty or 0.0), note


def _seconds(text: str) -> int:
    """The length of 15m, 2h, 1d or 1d12h; 0 of an empty text."""
    found = _DURATION.fullmatch(tables.narrow(text).replace(" ", ""))
    if not found or text.strip() == "+":
        raise ValueError(f"{text[:40]!r} is not a duration such as 15m, 2h or 1d")
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), (DAY, 3600, 60), strict=True))


def _time(text: str) -> datetime:
    try:
        *day, hour, minute, second, offset = _TIME.fullmatch(tables.narrow(text).strip()).groups("")
        clock = f"{hour:0>2}:{minute}:{second or '00'}{offset.upper()}"
        return datetime.fromisoformat("-".join(f"{part:0>2}" for part in day) + f"T{clock}")
    except (AttributeError, ValueError):  # no match, or no such day
        raise ValueError(f"{text[:40]!r} is not a time such as 2026-12-01 23:59") from None
