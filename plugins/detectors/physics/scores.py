"""The detector: scores for terminals and lines, from what is broken and what readings show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from gridtop.api import Block, ChannelSet, Duration, Scores, Settings, Site

from .laws import Evidence, Laws, Told, always, told_of
from .readings import Bools, Delayed, Floats, Frames, Lasting, Peaks, any_of, trusted
from .signatures import named_causes, sagging

BEYOND = 20.0
"""Scores end here: that far beyond a limit nobody counts any more."""
OF_LINES = ("clock", "suspicious")
CAUSES = ("vt_fuse", "open_ct", "swapped_phases", *OF_LINES)
"""The outputs of a line, and of a terminal."""
SUDDEN = 2.0
"""Degrees within the time to settle: clocks that lose their reference drift by less."""
UNKNOWN_RATE = 30.0


class Physics:
    """Scores how far readings depart from the laws of physics, as a multiple of what instruments may err.

    Checked are, each as the departure from the commissioning baseline: equal voltages at one bus, both laws
    of Kirchhoff along a line, reported sequences against the three phases, reported impedance against V / I,
    frequency against the turning of the voltage, and efficiency above one. A line is looked at while both
    ends are closed. A genuine short circuit breaks the laws of the line as a whole, but in a way that some
    place on the line explains; then nothing is said. So it is for half a second after a short circuit or a
    switching operation, while filters at the two ends settle.

    Outputs: for each terminal a column for each cause that readings show by name, `R1:vt_fuse`, `R1:open_ct`,
    `R1:swapped_phases` and `R1:clock`, and `R1:suspicious` for what has no name; for a line `L1:clock` and
    `L1:suspicious`, when both of its ends are equally suspect. The terminal is found by leaving each one out:
    the one without which all broken laws are mended is at fault, and one that agrees with its neighbour at
    the bus is not.
    Source: bad-data identification by largest normalised residual, Abur and Exposito, Power System State
    Estimation, chapter 5; the limits are customary for class 0.5 instruments.
    """

    class Config(Settings):
        """What counts as 1: limits on the departure from the baseline."""

        bus_mismatch: float = Field(0.01, gt=0, description="pu, between voltages of one bus")
        kvl_residual: float = Field(0.02, gt=0, description="pu, of the voltage law along a line")
        differential_current: float = Field(0.1, gt=0, description="pu of rated current, off a short circuit")
        sequence_residual: float = Field(3.0, gt=0, description="%, reported against computed sequences")
        impedance_residual: float = Field(15.0, gt=0, description="%, reported impedance against V / I")
        frequency_residual: float = Field(0.2, gt=0, description="Hz, frequency against turning voltage")
        efficiency: float = Field(1.02, gt=1, description="of a line, from which on it is a mistake")
        clock: float = Field(0.5, gt=0, description="degrees between the two ends of a line")
        location_error: float = Field(
            0.04, gt=0, description="pu of voltage that the best place of a short circuit leaves unexplained"
        )
        settle: Duration = Field(
            "500ms",
            validate_default=True,
            description="silence after a short circuit or a switching operation",
        )

    wants = (
        "*:bus_mismatch",
        "*:kvl_residual",
        "*:differential_current",
        "*:sequence_residual",
        "*:impedance_residual",
        "*:frequency_residual",
        "*:efficiency",
        "*:fault",
        "*:fault_location_error",
        "*:line_open",
        "*:clock_difference",
        "*:clock_difference_error",
        "*:voltage_pu",
        "*:current_pu",
        "*:positive_voltage",
        "*:negative_voltage",
        "*:positive_current",
        "*:negative_current",
        "*:voltage_step",
        "*:current_step",
    )
    alarm: ClassVar[dict[str, Any]] = {
        "high": {"warning": 1, "critical": 2},
        "consecutive": 3,
        "on_delay": {"warning": "1s", "critical": "100ms"},
        "off_delay": "2s",
        "class": "integrity",
    }

    def __init__(self, config: Config, channels: ChannelSet, site: Site) -> None:
        self._config, self._site = config, site
        self._columns = {(c.quantity, c.terminal, c.phase): i for i, c in enumerate(channels) if c.derived}
        places = {place for _, place, _ in self._columns}
        self._lines = {name: line.ends for name, line in site.lines.items() if name in places}
        named = dict.fromkeys(channel.terminal for channel in channels)
        self._terminals = tuple(place for place in named if place in places - {*self._lines, "system"})
        self._line_of = {end: name for name, ends in self._lines.items() for end in ends}
        self._settling = max(1, round(config.settle.total_seconds() * (channels.rate or UNKNOWN_RATE)))
        self._unsettled = {name: Lasting(self._settling) for name in self._lines}
        self._opened = dict.fromkeys(self._lines, False)
        # Frequencies are averages over more cycles than phasors are.
        self._shaken = Lasting(2 * self._settling)
        self._case = Lasting(2 * self._settling)
        self._jumps = Peaks(len(self._terminals))
        self._turns = Peaks(len(self._lines))
        self._before = Delayed(len(self._lines), self._settling)
        self.outputs: Sequence[str] = [
            *(f"{terminal}:{cause}" for terminal in self._terminals for cause in CAUSES),
            *(f"{line}:{cause}" for line in self._lines for cause in OF_LINES),
        ]

    def score(self, block: Block) -> Scores:
        """(n, k) scores: 1 is the limit of what instruments may err; NaN where nothing can be checked."""
        frames = Frames(trusted(block), self._columns)
        laws = {name: self._laws(frames, name) for name in self._lines}
        buses = {t: frames("bus_mismatch", t) / self._config.bus_mismatch for t in self._terminals}
        broken = [law.worst >= 1 for law in laws.values()] + [bus >= 1 for bus in buses.values()]
        case = self._case(any_of(broken, len(block)))
        laws = self._with_jumps(laws, case)
        evidence = Evidence(laws, buses, self._steps(frames, case))
        shaken = self._shaken(any_of([law.shaken | law.switched for law in laws.values()], len(block)))
        told: dict[str, Told] = {}
        for terminal in self._terminals:
            told |= self._of_terminal(terminal, frames, evidence, shaken)
        for name, (first, second) in self._lines.items():
            found = evidence.mine(first, second) | evidence.mine(second, first)
            told |= told_of(name, laws[name], ~found, f"{first} or {second}: ")
        scores = [told[name].score for name in self.outputs]
        values = np.stack(scores, axis=1) if scores else np.empty((len(block), 0))
        notes = {name: told[name].notes() for name in self.outputs}
        return Scores(np.minimum(values, BEYOND), note=notes)

    def _of_terminal(
        self, terminal: str, frames: Frames, evidence: Evidence, shaken: Bools
    ) -> dict[str, Told]:
        """The scores of one terminal by output; what has a name is not suspicious besides."""
        causes = named_causes(frames, terminal, self._other_end(terminal), self._at_bus(terminal), shaken)
        named = {f"{terminal}:{name}": told for name, told in causes.items()}
        has_name = any_of([told.score >= 1 for told in causes.values()], frames.number)
        line = self._line_of.get(terminal)
        if line is None:
            nothing = np.full(frames.number, np.nan)
            of_line = {f"{terminal}:{name}": always(nothing, "") for name in OF_LINES}
        else:
            mine = evidence.mine(terminal, self._other_end(terminal))
            of_line = told_of(terminal, evidence.laws[line], mine)
            has_name |= of_line[f"{terminal}:clock"].score >= 1
        candidates = [of_line[f"{terminal}:suspicious"], self._of_bus(terminal, evidence)]
        candidates += self._own(frames, terminal, shaken)
        score = np.fmax.reduce([told.score for told in candidates])

        def words(i: int) -> str:
            worst = max(candidates, key=lambda told: float(np.nan_to_num(told.score[i])))
            return worst.words(i)

        suspicious = Told(np.where(has_name & ~np.isnan(score), 0.0, score), words)
        return {**named, **of_line, f"{terminal}:suspicious": suspicious}

    def _laws(self, frames: Frames, name: str) -> Laws:
        """What holds along a line, frame by frame."""
        config, ends = self._config, self._lines[name]
        fault = np.fmax(*(frames("fault", end) for end in ends)) > 0
        error = frames("fault_location_error", name)
        # A place on the line that explains the readings is a short circuit, if the voltage shows one as well:
        # an open CT looks like a fault at its own terminal.
        low = any_of([sagging(frames, end) for end in ends], frames.number)
        shaken = np.where(error > config.location_error, False, fault | (low & ~np.isnan(error)))
        opened = frames("line_open", name) > 0
        switched = opened != np.concatenate(([self._opened[name]], opened[:-1]))
        self._opened[name] = bool(opened[-1]) if len(opened) else self._opened[name]
        quiet = ~self._unsettled[name](shaken | opened)
        rated = self._site.rated_current(ends[0]) or np.nan
        mismatch = frames("kvl_residual", name)
        voltage = mismatch / config.kvl_residual
        current = frames("differential_current", name) / (config.differential_current * rated)
        gain = (frames("efficiency", name) - 1.0) / (config.efficiency - 1.0)
        degrees = frames("clock_difference", name)
        alike = frames("clock_difference_error", name) < np.maximum(0.01, 0.3 * mismatch)
        turn = np.where(alike, np.abs(degrees) / config.clock, 0.0)
        voltage, current, gain, turn = (
            np.where(quiet, law, np.nan) for law in (voltage, current, gain, turn)
        )
        return Laws(voltage, current, gain, turn, degrees, shaken, switched, np.zeros_like(shaken))

    def _with_jumps(self, laws: dict[str, Laws], case: Bools) -> dict[str, Laws]:
        """The laws, knowing where a turn came at once since they are broken."""
        degrees = np.array([law.degrees for law in laws.values()]).reshape(len(laws), len(case))
        change = np.abs((degrees - self._before(degrees) + 180.0) % 360.0 - 180.0)
        jumps = self._turns(case, np.nan_to_num(change))
        return {
            name: law._replace(sudden=jump > SUDDEN)
            for (name, law), jump in zip(laws.items(), jumps, strict=True)
        }

    def _steps(self, frames: Frames, case: Bools) -> dict[str, Floats]:
        """(n,) for each terminal the largest jump of its readings since the laws are broken."""
        steps = [np.fmax(frames("current_step", t), 5.0 * frames("voltage_step", t)) for t in self._terminals]
        jumps = self._jumps(case, np.nan_to_num(np.array(steps)))
        return dict(zip(self._terminals, jumps, strict=True))

    def _own(self, frames: Frames, terminal: str, shaken: Bools) -> list[Told]:
        """How far a terminal's readings contradict each other."""
        config = self._config
        laws = [
            ("sequence_residual", config.sequence_residual, "reported sequences do not fit the phases"),
            ("impedance_residual", config.impedance_residual, "reported impedance does not fit V / I"),
            (
                "frequency_residual",
                config.frequency_residual,
                "the frequency does not fit the voltage's turning",
            ),
        ]
        return [
            always(np.where(shaken, np.nan, frames(quantity, terminal) / limit), f"suspicious data, {words}")
            for quantity, limit, words in laws
        ]

    def _of_bus(self, terminal: str, evidence: Evidence) -> Told:
        """How far a voltage differs from its bus, 0 where another terminal there is to blame."""
        mismatch = evidence.buses[terminal]
        others = [t for t in self._at_bus(terminal) if t in evidence.buses]
        innocent = np.zeros(len(mismatch), dtype=bool)
        if len(others) > 1:  # the one that is wrong differs most
            innocent = mismatch < np.fmax.reduce([evidence.buses[t] for t in others])
        elif others:
            here, there = (
                np.nan_to_num(evidence.laws[self._line_of[t]].worst) if t in self._line_of else 0.0
                for t in (terminal, others[0])
            )
            jumped, stayed = evidence.jumped(terminal, others[0]), evidence.jumped(others[0], terminal)
            innocent = stayed | (~jumped & (there > 2.0 * here))
        words = "suspicious data, its voltage differs from the rest of the bus"
        return always(np.where(innocent, 0.0, mismatch), words)

    def _other_end(self, terminal: str) -> str:
        ends = self._lines.get(self._line_of.get(terminal, ""), (terminal, terminal))
        return ends[1] if ends[0] == terminal else ends[0]

    def _at_bus(self, terminal: str) -> list[str]:
        for terminals in self._site.terminals_of_buses.values():
            if terminal in terminals:
                return [other for other in terminals if other != terminal]
        return []
