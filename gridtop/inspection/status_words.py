"""What a status word says, read as the STAT field of IEEE C37.118.2-2011 (table 7)."""

from __future__ import annotations

_DATA_ERROR = {1: "no data from the PMU", 2: "test mode or filled in", 3: "PMU error, do not use"}
_BITS = {
    13: "not synchronised",
    12: "sorted by arrival",
    11: "trigger detected",
    10: "configuration about to change",
    9: "data modified",
}
_UNLOCKED = {1: "unlocked 10 s or more", 2: "unlocked 100 s or more", 3: "unlocked over 1000 s"}
_REASONS = {
    1: "magnitude low", 2: "magnitude high", 3: "phase angle difference", 4: "frequency high or low",
    5: "ROCOF high", 7: "digital input",
}  # fmt: skip


def meaning_of(word: float) -> str:
    """The meaning of a status word in words; says so when it cannot be a STAT field."""
    if word != int(word) or not 0 <= word <= 0xFFFF:
        return "more than 16 bits: the device's own word, not C37.118"
    bits = int(word)
    said = []
    if error := _DATA_ERROR.get(bits >> 14):
        said.append(error)
    said += [text for bit, text in _BITS.items() if bits >> bit & 1]
    if quality := bits >> 6 & 7:
        said.append(f"time quality {quality}")
    if unlocked := _UNLOCKED.get(bits >> 4 & 3):
        said.append(unlocked)
    if reason := bits & 15:
        said.append(f"trigger reason: {_REASONS.get(reason, f'number {reason}')}")
    return ", ".join(said) or "good"
