"""What the marks on the screen mean, for the help."""

from __future__ import annotations

Marks = tuple[tuple[str, str], ...]

OVERVIEW: Marks = (
    ("!!", "critical alarm"),
    ("!", "warning"),
    ("i", "information"),
    ("ok", "cleared by itself"),
    ("ak", "acknowledged"),
    ("--", "ended by seek or loop"),
    ("?", "newest value is bad"),
    ("~", "nothing new for 2 s"),
    (".", "a gap in the data"),
    ("=H", "critical limit, high"),
    ("-L", "warning limit, low"),
    ("X", "critical on timeline"),
    ("2*", "2 not acknowledged"),
    ("(3)", "3 put aside"),
    ("sh", "an operator's order"),
)
ALARMS: Marks = (
    ("!!", "critical"),
    ("!", "warning"),
    ("*", "not acknowledged"),
    ("z", "shelved"),
    ("-", "suppressed"),
    ("x", "out of service"),
    ("+9", "9 stand behind it"),
    ("+9*", "some not acknowledged"),
    ("~", "chatters"),
    ("old", "holds for over a day"),
)
DEVICES: Marks = (
    ("!", "trouble now"),
    ("--", "not known"),
)
