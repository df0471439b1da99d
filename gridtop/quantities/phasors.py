"""Complex numbers as two arrays: phasor arithmetic that does not depend on how a stream is cut.

numpy multiplies complex arrays with fused instructions where a vector register is full and without them in
the rest, so the last bit of a product would depend on its place in the block. Sums and products of real
arrays have no such freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats

_HALF_ROOT_3 = 0.5 * 3.0**0.5


@dataclass(frozen=True, slots=True)
class Phasors:
    """Phasors of any shape: real and imaginary part, rms. NaN in either part means missing."""

    re: Floats
    im: Floats

    @classmethod
    def polar(cls, magnitude: Floats, degrees: Floats) -> Phasors:
        """Phasors from magnitudes and angles in degrees."""
        cosine, sine = cosine_and_sine(degrees)
        cosine *= magnitude
        sine *= magnitude
        return cls(cosine, sine)

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
        """The quotient; not finite where the divisor is zero."""
        square = other.squared
        return Phasors(
            (self.re * other.re + self.im * other.im) / square,
            (self.im * other.re - self.re * other.im) / square,
        )

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

    def aligned(self, other: Phasors) -> Floats:
        """Re(self conj(other)): how much of the one lies along the other, times the other's magnitude."""
        product: Floats = self.re * other.re + self.im * other.im
        return product


def fortescue(phases: Phasors, rotation: Floats | None = None) -> Phasors:
    """(..., 3, n) positive, negative and zero sequence of (..., 3, n) phases A, B, C.

    V1 = (Va + a Vb + a² Vc) / 3, V2 = (Va + a² Vb + a Vc) / 3, V0 = (Va + Vb + Vc) / 3 with
    a = 1 ∠ 120°; `rotation` is -1 where the phases follow each other as A, C, B.
    Source: C. L. Fortescue, Method of symmetrical co-ordinates, AIEE 1918.
    """
    a, b, c = (phases[..., i, :] for i in range(3))
    total, apart = b + c, b - c
    # a Vb + a² Vc = -(Vb + Vc) / 2 + j (√3 / 2) (Vb - Vc)
    turned = Phasors(apart.im * -_HALF_ROOT_3, apart.re * _HALF_ROOT_3)
    if rotation is not None:
        turned = turned * rotation
    mean = a - total * np.float64(0.5)
    sequences = Phasors(np.empty_like(phases.re), np.empty_like(phases.im))
    for i, one in enumerate((mean + turned, mean - turned, a + total)):
        np.divide(one.re, 3.0, out=sequences.re[..., i, :])
        np.divide(one.im, 3.0, out=sequences.im[..., i, :])
    return sequences


_STEPS = 2
"""Entries of the tables to a degree."""
_HALF_TURN = 180 * _STEPS
_COSINES, _SINES = (
    np.array([f(math.radians(step / _STEPS)) for step in range(-_HALF_TURN, _HALF_TURN + 1)])
    for f in (math.cos, math.sin)
)


def cosine_and_sine(degrees: Floats) -> tuple[Floats, Floats]:
    """Cosine and sine of angles in degrees, to about 2e-16.

    The nearest half degree is looked up, and the rest, below 0.005 rad, is added by the first terms of
    Taylor's series: by additions and multiplications alone, which are faster than the library's functions
    and have the same bits wherever a value stands in a block.
    """
    x = degrees / 360.0
    np.rint(x, out=x)
    x *= -360.0
    x += degrees
    x *= _STEPS
    step = np.rint(x)
    x -= step
    x *= math.radians(1 / _STEPS)
    step += _HALF_TURN
    with np.errstate(invalid="ignore"):  # NaN points anywhere: the rest stays NaN
        index = step.astype(np.int64)
    cosine, sine = (table.take(index, mode="clip") for table in (_COSINES, _SINES))
    square = x * x
    sine_of_rest = square * (1 / 120)
    sine_of_rest -= 1 / 6
    sine_of_rest *= square
    sine_of_rest *= x
    sine_of_rest += x
    short = np.multiply(square, 1 / 24, out=step)  # 1 - cos of the rest, so that no digit is lost
    short -= 0.5
    short *= square
    # cos(a + x) = cos a + (cos a (cos x - 1) - sin a sin x), and sin alike
    correction = cosine * short
    correction -= np.multiply(sine, sine_of_rest, out=x)
    short *= sine
    sine_of_rest *= cosine
    sine += short
    sine += sine_of_rest
    cosine += correction
    return cosine, sine
