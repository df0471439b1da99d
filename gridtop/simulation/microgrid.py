"""A simulated microgrid: a 480 V, 60 Hz site with battery, PV, engine and fuel cell, read every ten seconds.

The columns are those of a public recording of such a site. It is a model of energy, not of phasors: powers
balance, voltage drops with the power that flows, frequency droops while the site is an island.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEP_S = 10.0
"""Seconds between two rows."""
DAY_S = 86_400.0
TOUR_S = 3 * DAY_S
"""After so long the tour of events begins again."""
NOMINAL_V = 480.0
NO_EVENT = "NoEvents"

COLUMNS: dict[str, int] = {
    "Battery_Active_Power": 2,
    "PVPCS_Active_Power": 1,
    "GE_Active_Power": 1,
    "FC_Active_Power": 1,
    "Receiving_Point_Active_Power": 1,
    "MG-LV-MSB_Load_Active_Power": 1,
    "Receiving_Point_AC_Voltage": 1,
    "MG-LV-MSB_AC_Voltage": 1,
    "Receiving_Point_Frequency": 3,
    "MG-LV-MSB_Frequency": 3,
    "Battery_State_of_Charge": 1,
    "Ambient_Temperature": 1,
    "GE_Coolant_Temperature": 1,
    "FC_Stack_Temperature": 1,
}
"""Columns (kW, V, Hz, percent, degrees Celsius) and the decimals that their instruments have.

Sources count positive into the site, the load as it is consumed: the other way round.
"""
_COLUMN = {name: i for i, name in enumerate(COLUMNS)}

PV_KW = 150.0
BATTERY_KW = 80.0
BATTERY_KWH = 240.0
ENGINE_KW = (40.0, 110.0)
"""Least and most that the engine gives while it runs."""
FUEL_CELL_KW = 40.0
_ONE_WAY = 0.95
"""Efficiency of the battery in each direction."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens to the site, from `start` for `duration` seconds."""

    kind: str
    place: str
    start: float
    duration: float
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> float:
        """When it is over, in seconds from the first row."""
        return self.start + self.duration

    def as_json(self) -> dict[str, Any]:
        """Its line in the event list (docs/simulation.md), with times in milliseconds."""
        start, end = self.start * 1000, self.end * 1000
        return {
            "kind": self.kind,
            "marker": self.kind,
            "place": self.place,
            "start_ms": start,
            "end_ms": end,
            "label_end_ms": end,
            "phases": [{"phase": "active", "start_ms": start, "end_ms": end}],
            "parameters": self.parameters,
        }


def _at(day: int, clock: str) -> float:
    hours, minutes = clock.split(":")
    return day * DAY_S + int(hours) * 3600 + int(minutes) * 60


TOUR: tuple[Happening, ...] = (
    Happening(
        "error_codes", "BATTERY", _at(0, "10:30"), 300, {"columns": ["Battery_Active_Power"], "code": -327.68}
    ),
    Happening("meter_fault", "LOAD", _at(0, "13:00"), 2400, {"gain": 0.55}),
    Happening("overload", "MSB", _at(0, "18:40"), 720, {"power_kw": 200.0}),
    Happening(
        "error_codes",
        "SITE",
        _at(1, "03:00"),
        1200,
        {"columns": ["Ambient_Temperature", "FC_Stack_Temperature"], "code": -52.5},
    ),
    Happening("losses", "MSB", _at(1, "09:00"), 5400, {"share": 0.15}),
    Happening("unsteady_frequency", "GRID", _at(1, "14:00"), 1800, {"amplitude_hz": 0.07, "period_s": 170.0}),
    Happening(
        "error_codes",
        "GRID",
        _at(1, "21:00"),
        180,
        {"columns": ["Receiving_Point_AC_Voltage", "Receiving_Point_Frequency"], "code": 0.0},
    ),
    Happening("islanding", "GRID", _at(2, "17:00"), 3600),
)
"""What happens in three days."""


@dataclass(frozen=True, slots=True)
class Readings:
    """n rows: seconds since the first (n,), values (n, 14) in the order of `COLUMNS`, and markers (n,)."""

    seconds: Floats
    values: Floats
    markers: npt.NDArray[np.str_]


def tour(seconds: float) -> list[Happening]:
    """What happens within so many seconds: the tour, again and again, as far as it fits."""
    rounds = range(math.ceil(seconds / TOUR_S))
    repeated = (
        Happening(one.kind, one.place, one.start + k * TOUR_S, one.duration, one.parameters)
        for k in rounds
        for one in TOUR
    )
    return [happening for happening in repeated if happening.end <= seconds]


def readings(rows: int, happenings: Sequence[Happening] = (), seed: int = 1) -> Readings:
    """So many rows, beginning at midnight; the same for the same arguments, however many follow."""
    seconds: Floats = np.arange(rows, dtype=np.float64) * STEP_S
    # A stream for each purpose, each drawn from once: a longer recording begins like a shorter one.
    draws = [stream.standard_normal(rows) for stream in np.random.default_rng(seed).spawn(7)]
    active = {kind: _active(seconds, happenings, kind) for kind in {one.kind for one in happenings}}
    values = np.empty((rows, len(COLUMNS)))
    values[:, : _COLUMN["Battery_State_of_Charge"] + 1] = _electrical(seconds, active, draws)
    values[:, -3:] = _temperatures(seconds, values[:, _COLUMN["GE_Active_Power"]], draws[6])
    for one in happenings:
        rows_of = slice(*np.searchsorted(seconds, (one.start, one.end)).tolist())
        if one.kind == "meter_fault":
            values[rows_of, _COLUMN["MG-LV-MSB_Load_Active_Power"]] *= one.parameters["gain"]
        elif one.kind == "error_codes":
            values[rows_of, [[_COLUMN[name]] for name in one.parameters["columns"]]] = one.parameters["code"]
    markers = np.full(rows, NO_EVENT, dtype=f"<U{max([8, *(len(one.kind) for one in happenings)])}")
    for one in happenings:
        markers[slice(*np.searchsorted(seconds, (one.start, one.end)).tolist())] = one.kind
    return Readings(seconds, values, markers)


def _active(seconds: Floats, happenings: Sequence[Happening], kind: str) -> list[Happening | None]:
    """For each row the happening of a kind that is on, if any."""
    found: list[Happening | None] = [None] * len(seconds)
    for one in happenings:
        if one.kind == kind:
            first, end = np.searchsorted(seconds, (one.start, one.end)).tolist()
            found[first:end] = [one] * (end - first)
    return found


def _electrical(seconds: Floats, active: dict[str, list[Happening | None]], draws: list[Floats]) -> Floats:
    """(n, 11): powers in kW, voltages, frequencies and the battery's state of charge, row after row."""
    nothing: list[Happening | None] = [None] * len(seconds)
    overloads, lossy, unsteady, islands = (
        active.get(kind, nothing) for kind in ("overload", "losses", "unsteady_frequency", "islanding")
    )
    site = _Site()
    rows = np.empty((len(seconds), 11))
    for i, second in enumerate(seconds.tolist()):
        noise = [float(draw[i]) for draw in draws[:6]]
        rows[i] = site.step(second, noise, overloads[i], lossy[i], unsteady[i], islands[i])
    return rows


class _Site:
    """The site from row to row: what its devices do and what their instruments read."""

    def __init__(self) -> None:
        self._load_wander = self._cloud = self._utility = self._drift = 0.0
        self._charge = 0.55 * BATTERY_KWH
        self._engine = self._battery = 0.0
        self._fuel_cell = 0.5 * FUEL_CELL_KW
        self._running = False

    def step(
        self,
        second: float,
        noise: list[float],
        overload: Happening | None,
        lossy: Happening | None,
        unsteady: Happening | None,
        island: Happening | None,
    ) -> tuple[float, ...]:
        """What a row holds, from battery power to state of charge."""
        hour = second / 3600 % 24
        self._wander(noise)
        load = _daily_load(hour) * (1 + self._load_wander) + (
            overload.parameters["power_kw"] if overload else 0
        )
        sun = max(0.0, math.sin(math.pi * (hour - 6) / 12)) ** 1.3 if 6 < hour < 18 else 0.0
        pv = PV_KW * sun / (1 + math.exp(2.5 * self._cloud - 2))
        self._dispatch(hour, load - pv, island is not None)
        sources = pv + self._engine + self._fuel_cell
        flow = load + abs(self._battery)
        losses = 1.2 + 0.006 * flow + 6e-5 * flow**2 + (lossy.parameters["share"] * load if lossy else 0)
        if island:
            # Nobody else can: its inverter carries what is left over, and forms voltage and frequency.
            self._battery = load + losses - sources
            grid = 0.0
        else:
            grid = load + losses - sources - self._battery
        self._store()
        read = (1 + 0.0015 * noise[4]) * load
        utility = 60 + 0.008 * self._utility
        if unsteady:
            turn = math.tau * (second - unsteady.start) / unsteady.parameters["period_s"]
            utility += unsteady.parameters["amplitude_hz"] * math.sin(turn) + 0.02 * noise[5]
        # An inverter with a droop of 0.6 % over its rating; the engine's governor hunts a little.
        own = 60 - 0.36 * self._battery / BATTERY_KW + 0.03 * noise[5] if island else utility
        received = NOMINAL_V * (1.008 + 0.004 * self._drift - 4e-5 * grid)
        board = received - NOMINAL_V * (2.2e-4 * max(grid, 0.0) + 1.5e-6 * max(grid, 0.0) ** 2)
        if island:
            board = NOMINAL_V * (0.985 - 2e-4 * self._battery)
        charge = 100 * self._charge / BATTERY_KWH
        resolution = 0.05 * noise[4]
        return (
            self._battery + resolution,
            max(pv + resolution, 0.0) if pv else 0.0,
            self._engine + resolution if self._engine else 0.0,
            self._fuel_cell + resolution,
            grid - resolution if grid else 0.0,
            read,
            received + 0.25 * noise[5],
            board + 0.25 * noise[3],
            utility + 0.001 * noise[4],
            own + 0.001 * noise[3],
            charge,
        )

    def _wander(self, noise: list[float]) -> None:
        """Load, clouds and the utility's frequency and voltage, each with a memory of its own."""
        self._load_wander = 0.995 * self._load_wander + 0.004 * noise[0]
        self._cloud = 0.998 * self._cloud + 0.05 * noise[1]
        self._utility = 0.95 * self._utility + 0.31 * noise[2]
        self._drift = 0.9995 * self._drift + 0.03 * noise[3]

    def _dispatch(self, hour: float, net: float, is_island: bool) -> None:
        """What engine, fuel cell and battery are asked for, and how far they get in ten seconds."""
        wanted = FUEL_CELL_KW if 6 <= hour < 22 else 0.5 * FUEL_CELL_KW
        self._fuel_cell += (wanted - self._fuel_cell) * STEP_S / 600
        net -= self._fuel_cell
        if net > 105 or is_island:
            self._running = True
        elif net < 55:
            self._running = False
        least, most = ENGINE_KW
        wanted = min(max(net - 60, least), most) if self._running else 0.0
        self._engine += (wanted - self._engine) * STEP_S / 90
        if not self._running and self._engine < 1:
            self._engine = 0.0
        left, share = net - self._engine, self._charge / BATTERY_KWH
        wanted = 0.0
        if left < 0 and share < 0.95:  # more sun than anybody needs
            wanted = max(left, -BATTERY_KW)
        elif hour < 5 and share < 0.4:
            wanted = -0.3 * BATTERY_KW
        elif hour >= 16 and share > 0.15:
            wanted = min(max(left - 45, 0.0), BATTERY_KW)
        self._battery += (wanted - self._battery) * STEP_S / 30

    def _store(self) -> None:
        """Charge the battery, or discharge it."""
        through = self._battery / _ONE_WAY if self._battery > 0 else self._battery * _ONE_WAY
        self._charge = min(max(self._charge - through * STEP_S / 3600, 0.0), BATTERY_KWH)


def _daily_load(hour: float) -> float:
    """kW: a base, a morning, a working day and a peak in the evening."""
    evening = 75 * math.exp(-(((hour - 19.2) / 1.9) ** 2))
    morning = 30 * math.exp(-(((hour - 7.6) / 1.2) ** 2))
    return 88 + morning + 42 / (1 + math.exp(-(hour - 8) * 2)) / (1 + math.exp((hour - 17.5) * 2)) + evening


def _temperatures(seconds: Floats, engine: Floats, noise: Floats) -> Floats:
    """(n, 3) degrees: ambient, the engine's coolant (warms up within minutes), the fuel cell's stack."""
    hour = seconds / 3600 % 24
    ambient = 24 + 7 * np.sin(np.pi * (hour - 9) / 12)
    coolant, warm = np.empty(len(seconds)), 45.0
    for i, power in enumerate(engine.tolist()):
        wanted = 78 + 0.1 * power if power > 1 else 45.0
        warm += (wanted - warm) * STEP_S / 480
        coolant[i] = warm
    stack = 68 + 0.15 * (ambient - 24)
    return np.column_stack([ambient, coolant, stack]) + 0.1 * noise[:, None]
