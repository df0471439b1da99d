"""Text that came from outside made harmless: no control byte, no direction override, no endless string."""

from __future__ import annotations

import re

LONGEST = 200
"""Characters kept of one foreign string: a screen is at most this wide and a log line stays readable."""

# C0 and C1 controls, DEL, line separators, bidirectional marks and overrides, the byte order mark,
# unpaired surrogates (undecodable input) and tags: they move the cursor, reorder or hide text.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` with every harmful character shown as U+FFFD, cut to `longest` characters."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return _HARMFUL.sub("\ufffd", text)
