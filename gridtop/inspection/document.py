"""What was found, for programs: plain values that JSON can hold."""

from __future__ import annotations

import math
from typing import Any

from gridtop.inspection.findings import Findings
from gridtop.inspection.guessing import Guess
from gridtop.inspection.line_guess import LineGuess


def as_dict(findings: Findings) -> dict[str, Any]:
    """The findings as a tree of plain values; numbers that are not finite become null."""
    survey, site = findings.survey, findings.site
    time = survey.time
    whole = {
        "file": survey.path.name,
        "kind": survey.kind,
        "names_made_up": survey.given_names is not None,
        "rows": survey.rows,
        "sampled_rows": len(survey.sample),
        "time": None
        if time is None
        else {
            "column": time.name,
            "unit": time.unit,
            "first": str(time.first),
            "last": str(time.last),
            "usable": time.usable,
            "regular": time.regular,
            "median_step_s": time.median_step,
            "q05_step_s": time.q05_step,
            "q95_step_s": time.q95_step,
            "mean_step_s": time.mean_step,
            "gaps": time.gaps,
            "longest_step_s": time.longest,
            "repeats": time.repeats,
            "backward": time.backward,
            "unreadable": time.unreadable,
        },
        "columns": [_column(guess) for guess in findings.guesses],
        "duplicates": [list(group) for group in findings.duplicates],
        "nominal": {
            "voltage_ll": site.voltage_ll.value if site.voltage_ll else None,
            "frequency": site.frequency.value if site.frequency else None,
            "current": site.current.value if site.current else None,
        },
        "rotation": {name: terminal.rotation for name, terminal in site.terminals.items()},
        "buses": [
            {
                "terminals": list(bus.terminals),
                "mismatch_pu": bus.mismatch,
                "spread_pu": bus.spread,
                "sure": bus.sure,
            }
            for bus in site.buses
        ],
        "lines": [_line(line) for line in site.lines],
        "impedance_scale": {
            survey.columns[found.position].name: {
                "of_v1_i1": found.factor,
                "quartiles": list(found.quartiles),
            }
            for found in site.impedances
        },
    }
    tidy: dict[str, Any] = _finite(whole)
    return tidy


def _column(guess: Guess) -> dict[str, Any]:
    column, numbers = guess.column, guess.column.numbers
    found: dict[str, Any] = {
        "name": column.name,
        "meaning": guess.meaning.model_dump(mode="json", exclude_defaults=True),
        "sure": guess.sure,
        "why": list(guess.why),
    }
    if numbers is not None:
        found |= {
            "missing": numbers.missing,
            "unreadable": numbers.unreadable,
            "infinite": numbers.infinite,
            "least": numbers.least,
            "median": numbers.median,
            "most": numbers.most,
            "constant": numbers.constant,
        }
        if numbers.counts is not None:
            found["counts"] = {f"{value:.17g}": count for value, count in numbers.counts.items()}
    if column.texts is not None and column.texts.counts is not None:
        found["counts"] = dict(column.texts.counts)
    return found


def _line(line: LineGuess) -> dict[str, Any]:
    return {
        "ends": list(line.ends),
        "sure": line.sure,
        "why": list(line.why),
        "directions": line.directions,
        "power_sum": line.power_sum,
        "residual": line.residual,
        "z1_ohm": _parts(line.z1),
        "z1_standard_error_ohm": None if line.z1_error is None else list(line.z1_error),
        "z1_ratio_ohm": _parts(line.z1_ratio),
        "loading_variation": line.loading_variation,
        "b1_siemens": line.b1,
    }


def _parts(value: complex | None) -> list[float] | None:
    return None if value is None else [value.real, value.imag]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
