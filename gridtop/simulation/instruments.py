"""What the relays of the testbed report: exact phasors through a PMU's filter, noise and resolution.

The columns are those of the public power-system attack data (Mississippi State University and Oak
Ridge), in its order: 29 for each of four relays, then twelve logs. Its 129th, `marker`, is text.
"""

from __future__ import annotations

import math

import numpy as np

from gridtop.simulation.network import RELAYS, Complexes, Floats, GridParameters, sequences
from gridtop.simulation.transducers import Integers

SAMPLES_PER_CYCLE = 2
"""The least number of exact phasors per cycle that the filter needs."""

MAGNITUDE_NOISE = 3e-4
"""Standard deviation, as a share of the magnitude."""
ANGLE_NOISE = 0.01
"""Standard deviation, degrees."""
CURRENT_FLOOR = 0.3
"""What a current input reads without a current, A."""
FREQUENCY_NOISE = 1e-3
"""Standard deviation, Hz."""
ROCOF_NOISE = 0.02
"""Standard deviation, Hz/s."""
OPEN_CURRENT = 2.0
"""Below this positive-sequence current (A) the impedance is infinite."""
DEAD_VOLTAGE = 0.1
"""Below this positive-sequence voltage (per unit) there is no frequency to measure."""
LOW_VOLTAGE = 0.8
"""Below this positive-sequence voltage (per unit) the PMU triggers."""
LOW_VOLTAGE_TRIGGER = 0x0801
"""The status word then: trigger bit and reason "magnitude low" of IEEE C37.118.2-2011; 0 is all well."""

_NOISE_DRAWS = {"magnitude": 24, "angle": 24, "floor": 12, "frequency": 4, "rocof": 4}
"""Normal random numbers per frame, in the order in which they are drawn."""


def _columns() -> dict[str, int]:
    """The name of each numeric column and its decimals."""
    columns: dict[str, int] = {}
    for relay in RELAYS:
        # Phases A, B, C of voltage and current, then sequences +, -, 0 of both.
        for first, quantity, decimals in ((1, "V", 0), (4, "I", 1), (7, "V", 0), (10, "I", 1)):
            for number in range(first, first + 3):
                columns[f"{relay}-PA{number}:{quantity}H"] = 2
                columns[f"{relay}-PM{number}:{quantity}"] = decimals
        columns |= {f"{relay}:F": 3, f"{relay}:DF": 2}
        columns |= {f"{relay}-PA:Z": 2, f"{relay}-PA:ZH": 4, f"{relay}:S": 0}
    for log in ("control_panel_log{}", "relay{}_log", "snort_log{}"):
        columns |= {log.format(number): 0 for number in range(1, 5)}
    return columns


DECIMALS = _columns()
"""Decimals of each numeric column, in order."""
NUMERIC_COLUMNS = tuple(DECIMALS)
RELAY_COLUMNS = frozenset(name for name in NUMERIC_COLUMNS if "log" not in name)
"""The numeric columns but the logs."""
COLUMNS_PER_RELAY = len(RELAY_COLUMNS) // len(RELAYS)
COLUMNS = (*NUMERIC_COLUMNS, "marker")
"""The 129 columns of the public data."""


class Instruments:
    """Four PMUs that turn exact phasors into readings.

    The filter is a triangle two cycles long that ends at the instant of the frame: a reading lags by
    one cycle and shows nothing before its time. Frequency is the turn of the positive-sequence voltage
    over six cycles, the rate of change of frequency (ROCOF) the change of that over six more. The
    resolution is 10 V, 0.2 A, 0.01 degrees, 1 mHz and 0.01 Hz/s. The standard deviations of the noise
    are multiplied by `noise`; with `memory` it is AR(1), n' = memory n + sqrt(1 - memory^2) N(0, 1).
    """

    def __init__(
        self,
        grid: GridParameters,
        rate: int,
        samples_per_frame: int,
        random: np.random.Generator,
        noise: float = 1.0,
        memory: float = 0.0,
    ) -> None:
        self._nominal = grid.phase_voltage
        self._frequency = grid.frequency
        self._samples_per_frame = samples_per_frame
        self._samples_per_second = rate * samples_per_frame
        self._random = random
        self._noise = noise
        self._memory = memory
        self._last_draws: Floats | None = None
        cycle = max(1, round(self._samples_per_second / grid.frequency))
        rising = np.arange(1, cycle + 2)
        self._taps = np.concatenate([rising, rising[-2::-1]]) / (cycle + 1) ** 2
        self._turn = 6 * cycle
        self._history = len(self._taps) - 1 + 2 * self._turn
        self._tail: Complexes | None = None

    def read(self, phasors: Complexes, logs: Floats, status: Integers | int = 0) -> Floats:
        """(frames, 128) readings in the order of `NUMERIC_COLUMNS`.

        `phasors` (samples, 4, 2, 3) are the exact V and I of the relays' phases at every sample,
        a whole number of frames; `logs` (frames, 12) are 0 or 1; `status` (frames, 4) are STAT bits to
        be set besides. The stretches of one stream follow each other without gap; before the first one
        the grid stood still.
        """
        if self._tail is None:
            self._tail = np.repeat(phasors[:1], self._history, axis=0)
        window = np.concatenate([self._tail, phasors])
        self._tail = window[-self._history :]
        filtered = _convolve(window, self._taps)
        at_frames = slice(2 * self._turn, None, self._samples_per_frame)
        noise = self._draw_noise(len(logs))

        phasor_columns, positive_voltage, positive_current = _read_phasors(filtered[at_frames], noise)
        voltage = sequences(filtered[:, :, 0])[..., 0]
        frequency, rocof = self._read_frequency(voltage, noise)
        level = np.abs(voltage[at_frames]) / self._nominal
        is_open = np.abs(positive_current) < OPEN_CURRENT
        impedance = positive_voltage / np.where(is_open, 1, positive_current)
        others = [
            np.where(level < DEAD_VOLTAGE, np.nan, frequency),
            np.where(level < DEAD_VOLTAGE, np.nan, rocof),
            np.where(is_open, np.inf, _round(np.abs(impedance), 2)),
            np.where(is_open, 0, _round(np.angle(impedance), 4)),  # radians, as in the public data
            np.where(level < LOW_VOLTAGE, LOW_VOLTAGE_TRIGGER, 0) | status,
        ]
        relays = np.concatenate([phasor_columns, np.stack(others, axis=-1)], axis=-1)
        return np.concatenate([relays.reshape(len(logs), -1), logs], axis=1)

    def _draw_noise(self, frames: int) -> dict[str, Floats]:
        """(frames, draws) of each kind; frame by frame, so that the order does not depend on their number."""
        draws = self._random.standard_normal((frames, sum(_NOISE_DRAWS.values())))
        if self._memory:
            last = draws[0] if self._last_draws is None else self._last_draws
            fresh = math.sqrt(1 - self._memory**2) * draws
            for frame in range(frames):
                draws[frame] = last = self._memory * last + fresh[frame]
            self._last_draws = last
        draws *= self._noise
        kinds = np.split(draws, np.cumsum(list(_NOISE_DRAWS.values()))[:-1], axis=1)
        return dict(zip(_NOISE_DRAWS, kinds, strict=True))

    def _read_frequency(self, voltage: Complexes, noise: dict[str, Floats]) -> tuple[Floats, Floats]:
        """(frames, 4) Hz and Hz/s, from the positive-sequence voltage at all samples and their history."""
        seconds = self._turn / self._samples_per_second
        turned = np.angle(voltage[self._turn :] * voltage[: -self._turn].conj())
        frequency = self._frequency + turned / (2 * math.pi * seconds)
        rocof = (frequency[self._turn :] - frequency[: -self._turn]) / seconds
        at_frames = slice(None, None, self._samples_per_frame)
        return (
            _round(frequency[self._turn :][at_frames] + FREQUENCY_NOISE * noise["frequency"], 3),
            _round(rocof[at_frames] + ROCOF_NOISE * noise["rocof"], 2),
        )


def _read_phasors(phasors: Complexes, noise: dict[str, Floats]) -> tuple[Floats, Complexes, Complexes]:
    """Angle and magnitude columns (n, 4, 24), and the reported positive sequences (n, 4) of V and I."""
    shape = phasors.shape
    magnitude = np.abs(phasors) * (1 + MAGNITUDE_NOISE * noise["magnitude"].reshape(shape))
    magnitude[:, :, 1] += CURRENT_FLOOR * np.abs(noise["floor"].reshape(-1, 4, 3))
    magnitude = _at_resolution(magnitude)
    angle = np.degrees(np.angle(phasors)) + ANGLE_NOISE * noise["angle"].reshape(shape)
    angle = _round((angle + 180) % 360 - 180, 2)
    angle = np.where(magnitude > 0, angle, 0.0)

    # Sequences are those of what is reported, so that a reader who computes them finds them.
    direction: Complexes = np.exp(1j * np.radians(angle))
    components = sequences(magnitude * direction)
    component_magnitude = _at_resolution(np.abs(components))
    component_angle = np.where(component_magnitude > 0, _degrees(components), 0.0)
    angles = np.concatenate([angle, component_angle], axis=2)
    magnitudes = np.concatenate([magnitude, component_magnitude], axis=2)
    columns = np.stack([angles, magnitudes], axis=-1).reshape(len(phasors), 4, 24)
    return columns, components[:, :, 0, 0], components[:, :, 1, 0]


def _convolve(window: Complexes, taps: Floats) -> Complexes:
    """Each result is the weighted sum of `len(taps)` consecutive samples, the last at its instant."""
    length = len(window) - len(taps) + 1
    total = np.zeros_like(window[:length])
    for start, weight in enumerate(taps):
        total += weight * window[start : start + length]
    return total


def _at_resolution(magnitude: Floats) -> Floats:
    """Magnitudes (n, 4, 2, 3) of V and I, rounded to 10 V and 0.2 A."""
    return np.stack([np.round(magnitude[:, :, 0], -1), np.round(magnitude[:, :, 1] * 5) / 5], axis=2)


def _degrees(phasors: Complexes) -> Floats:
    return _round(np.degrees(np.angle(phasors)), 2)


def _round(values: Floats, decimals: int) -> Floats:
    rounded: Floats = np.round(values, decimals) + 0.0  # minus zero becomes zero
    return rounded
