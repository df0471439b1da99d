"""Which phase a phasor measures, by the name its device gives it: VA, IB, V1, UL1, BUS 2 VC, VALPM."""

from __future__ import annotations

import re
from typing import Literal

Phase = Literal["", "A", "B", "C", "AB", "BC", "CA", "+", "-", "0"]

_PHASES: dict[str, Phase] = {
    "A": "A", "B": "B", "C": "C", "AN": "A", "BN": "B", "CN": "C", "L1": "A", "L2": "B", "L3": "C",
    "AB": "AB", "BC": "BC", "CA": "CA", "AC": "CA", "L12": "AB", "L23": "BC", "L31": "CA",
    "0": "0", "1": "+", "2": "-", "+": "+", "-": "-", "POS": "+", "NEG": "-", "ZERO": "0", "ZER": "0",
    "PS": "+", "NS": "-", "ZS": "0", "P": "+", "POSITIVE": "+", "NEGATIVE": "-",
}  # fmt: skip
_ALONE = frozenset(_PHASES) - {"0", "1", "2", "P", "AN", "BN", "CN", "AC"}
"""Words that mean a phase even when no letter of a quantity stands before them: LINE 3 CURRENT B."""
_OF_QUANTITY = re.compile(
    r"[VUIE]_?(?P<phase>POSITIVE|NEGATIVE|POS|NEG|ZERO|ZER|PS|NS|ZS|L12|L23|L31|L[123]|AB|BC|CA|AC|[ABC]N?|[012P+-])"
    r"(?P<rest>(?:[LWXYZ]?PM|SEQ|PH|MAG|RMS)?)"
)
_WORD = re.compile(r"[A-Z0-9+-]+")


def phase_of(name: str) -> Phase:
    """The phase or sequence component in a phasor's name; empty when it says none.

    A letter of a quantity (V, U, I) followed by the phase counts first, the last such word of the name; then
    a word that is a phase by itself.
    """
    words = _WORD.findall(name.upper().replace("_", " "))
    for word in reversed(words):
        if match := _OF_QUANTITY.fullmatch(word):
            return _PHASES[match["phase"]]
    for word, before in zip(reversed(words), reversed(["", *words][: len(words)]), strict=True):
        if word in _ALONE:
            return _PHASES[word]
        if word in _PHASES and before in (
            "V",
            "U",
            "I",
            "VOLTAGE",
            "CURRENT",
            "SEQ",
            "SEQUENCE",
            "PHASE",
            "PH",
        ):
            return _PHASES[word]
    return ""
