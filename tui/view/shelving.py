"""For how long an alarm is put aside, and why, as a person writes it."""

from __future__ import annotations

import re

from gridtop.orders import LONGEST_SHELVE, LONGEST_TEXT

USUAL = "15m"
EXAMPLES = "15m   1h   2h30m   at most 8h"
REASONS = "a few words for those who come after you"
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600}
_PART = re.compile(r"(\d+(?:\.\d+)?)(min|s|m|h)")


def parse(text: str) -> float:
    """Seconds of `15m`, `1.5 h` or `2h30m`; ValueError in words for anything else."""
    written = "".join(text.lower().split())
    parts = _PART.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written or len(written) > 20:
        raise ValueError("write a number with s, m or h, such as 15m, 1h or 2h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds <= LONGEST_SHELVE:
        raise ValueError(f"an alarm can be shelved for at most {LONGEST_SHELVE / 3600:g}h")
    return seconds


def reason(text: str) -> str:
    """The reason; ValueError without one, or when it is too long to be kept."""
    text = text.strip()
    if not text:
        raise ValueError("say why in a few words; Esc leaves the alarm as it is")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"at most {LONGEST_TEXT} characters")
    return text
