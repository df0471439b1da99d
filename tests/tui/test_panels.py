"""A signal panel as plain text, without an app."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gridtop.tui.glyphs import ASCII, UNICODE, Glyphs
from gridtop.tui.view.axis import Axis
from gridtop.tui.view.choices import USUAL, quantity
from gridtop.tui.view.graph import Curve
from gridtop.tui.view.panels import Panel, measured, panel_rows

VOLTAGE, CURRENT, IMPEDANCE, FREQUENCY = (quantity(name) for name in USUAL)


def rendered(panel: Panel, width: int = 40, height: int = 4, glyphs: Glyphs = UNICODE) -> list[str]:
    rows = panel_rows(panel, width, height, Axis(), glyphs)
    return ["".join(span.text for span in row) for row in rows]


def panel(**changes: object) -> Panel:
    curve = Curve("A", 131_912.0, np.full(54, 131_800.0), np.full(54, 132_000.0))
    of_curve = {name: changes.pop(name) for name in ("latest", "minimum", "maximum") if name in changes}
    curve = replace(curve, **of_curve)  # type: ignore[arg-type]
    shown = replace(Panel(1, VOLTAGE, "R1 A", "V", window="60 s"), **changes)  # type: ignore[arg-type]
    return measured(shown, curve, shown.others, shown.bad)


def test_a_steady_voltage_is_a_line_in_the_middle() -> None:
    assert rendered(panel()) == [
        "  1 VOLTAGE   R1 A   131.9 kV           ",
        "                               hi 132.0k",
        "  ⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶◂          ",
        "                               lo 131.8k",
    ]


def test_a_long_place_is_shown_whole_with_the_letter_of_the_quantity() -> None:
    assert rendered(panel(place="north/R1 A"))[0] == "  1 V north/R1 A     131.9 kV           "
    shown = panel(place="north/R1", quantity=FREQUENCY, unit="Hz", latest=59.99)
    assert rendered(shown)[0].startswith("  1 f north/R1")


def test_a_sag_of_one_bucket_reaches_the_lowest_row() -> None:
    low = np.full(54, 131_800.0)
    low[40] = 88_500.0
    assert rendered(panel(minimum=low, severity="critical", alarm="!! LOW"))[::3] == [
        "  1 VOLTAGE   R1 A   131.9 kV  !! LOW   ",
        "                      ⡇        lo 88.50k",
    ]


def test_the_selected_panel_has_a_bar_that_needs_no_colour() -> None:
    assert all(line.startswith("▌ ") for line in rendered(panel(selected=True)))
    assert all(line.startswith("> ") for line in rendered(panel(selected=True), glyphs=ASCII))


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"bad": True}, "131.9 kV ?  "),
        ({"stale": True}, "131.9 kV ~  "),
        ({"bad": True, "stale": True}, "131.9 kV ~  "),
        ({"alarm": "!! LOW", "severity": "critical"}, "131.9 kV  !! LOW"),
        ({"alarm": "! HIGH", "severity": "warning", "bad": True}, "131.9 kV ?! HIGH"),
        ({"alarm": "!! R3 B"}, "131.9 kV  !! R3 B"),
    ],
)
def test_marks_stand_behind_the_value(changes: dict[str, object], mark: str) -> None:
    assert mark in rendered(panel(**changes))[0]


def test_infinite_impedance_is_a_gap_and_no_crash() -> None:
    values = np.full(54, 78.8)
    values[20:26] = math.inf
    shown = panel(quantity=IMPEDANCE, number=3, unit="ohm", latest=78.8, minimum=values, maximum=values)
    assert rendered(shown, height=3) == [
        "  3 IMPEDANCE R1 A   78.8 ohm           ",
        "  ⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀   ⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀◂   hi 78.8",
        "            ...                  lo 78.8",
    ]


def test_a_channel_without_any_value_shows_no_number() -> None:
    empty = np.full(54, math.nan)
    lines = rendered(panel(latest=math.nan, minimum=empty, maximum=empty, bad=True))
    assert lines[0] == "  1 VOLTAGE   R1 A         -- ?         "
    assert lines[-1] == "  " + "." * 27 + " " * 11


def test_a_panel_without_a_channel_says_so() -> None:
    lines = rendered(Panel(3, IMPEDANCE, ""))
    assert "no channel" in lines[0]
    assert "".join(lines[1:]).strip() == ""


def test_before_the_first_answer_there_is_no_graph() -> None:
    assert "".join(rendered(Panel(1, VOLTAGE, "R1 A", "V"))[1:]).strip() == ""


def test_one_row_holds_the_numbers() -> None:
    shown = panel(alarm="!! LOW", severity="critical")
    assert rendered(shown, 40, 1) == ["  1 VOLTAGE   R1 A    131.9 kV  !! LOW  "]
    wide = rendered(shown, 80, 1)[0]
    assert "lo 131.8k" in wide
    assert "hi 132.0k" in wide
    assert "⠶" in wide


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("height", [0, 1, 2, 3, 15])
def test_every_size_is_filled_exactly(glyphs: Glyphs, height: int) -> None:
    for width in range(0, 130, 7):
        lines = rendered(panel(), width, height, glyphs)
        assert [len(line) for line in lines] == [width] * height


def test_a_long_place_does_not_push_the_value_away() -> None:
    assert "131.9 kV" in rendered(panel(place="A very long terminal name indeed"))[0]


def test_ascii_has_no_other_characters() -> None:
    assert all(line.isascii() for line in rendered(panel(selected=True, alarm="!! LOW"), glyphs=ASCII))


def test_a_millihertz_of_noise_stays_a_thin_line() -> None:
    low, high = np.full(54, 59.9995), np.full(54, 60.0005)
    lines = rendered(
        panel(quantity=FREQUENCY, number=4, unit="Hz", latest=60.0, minimum=low, maximum=high), height=6
    )
    drawn = [line for line in lines[1:] if any("⠀" < c <= "⣿" for c in line)]
    assert len(drawn) == 1
