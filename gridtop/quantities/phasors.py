"""Complex numbers as two arrays: phasor arithmetic that does not depend on how a stream is cut.

numpy multiplies complex arrays with fused instructions where a vector register is full and without them in
the rest, so the last bit of a product would depend on its place in the block. Sums and products of real
arrays have no such freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats


@dataclass(frozen=True, slots=True)
class Phasors:
    """Phasors of any shape: real and imaginary part, rms. NaN in either part means missing."""

    re: Floats
    im: Floats

    @classmethod
    def polar(cls, magnitude: Floats, degrees: Floats) -> Phasors:
        """Phasors from magnitudes and angles in degrees."""
        angle = np.radians(degrees)
        return cls(magnitude * np.cos(angle), magnitude * np.sin(angle))

    @classmethod
    def constants(cls, values: Sequence[complex]) -> Phasors:
        """(k, 1) one constant for each row of arrays whose last axis is time."""
        numbers = np.array(values, dtype=np.complex128).reshape(-1, 1)
        return cls(numbers.real.copy(), numbers.imag.copy())

    def __getitem__(self, index: Any) -> Phasors:
        return Phasors(self.re[index], self.im[index])

    def __add__(self, other: Phasors) -> Phasors:
        return Phasors(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Phasors) -> Phasors:
        return Phasors(self.re - other.re, self.im - other.im)

    def __neg__(self) -> Phasors:
        return Phasors(-self.re, -self.im)

    def __mul__(self, other: Phasors | complex | npt.NDArray[np.float64]) -> Phasors:
        if isinstance(other, Phasors):
            return Phasors(
                self.re * other.re - self.im * other.im,
                self.re * other.im + self.im * other.re,
            )
        if isinstance(other, complex):
            return Phasors(
                self.re * other.real - self.im * other.imag,
                self.re * other.imag + self.im * other.real,
            )
        return Phasors(self.re * other, self.im * other)

    def __truediv__(self, other: Phasors) -> Phasors:
        """The quotient; not finite, without a warning, where the divisor is zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            square = other.squared
            product = self * other.conjugate
            return Phasors(product.re / square, product.im / square)

    @property
    def conjugate(self) -> Phasors:
        """The complex conjugates."""
        return Phasors(self.re, -self.im)

    @property
    def squared(self) -> Floats:
        """The squares of the magnitudes."""
        squares: Floats = self.re * self.re + self.im * self.im
        return squares

    @property
    def magnitude(self) -> Floats:
        """The magnitudes."""
        magnitude: Floats = np.sqrt(self.squared)
        return magnitude

    @property
    def degrees(self) -> Floats:
        """The angles in degrees, in (-180, 180]."""
        angle: Floats = np.degrees(np.arctan2(self.im, self.re))
        return angle
