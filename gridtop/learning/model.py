"""A trained model at run time: features in, scores and the share of each feature out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gridtop.blocks import Floats
from gridtop.errors import ConfigurationError
from gridtop.learning.card import ModelCard
from gridtop.learning.features import fill
from gridtop.learning.folder import MODEL, TREES, read_card, read_files
from gridtop.learning.inference import Calibration, Session
from gridtop.learning.reconstruction import reconstruction_score, reconstruction_shares
from gridtop.learning.trees import Trees


@dataclass(frozen=True)
class Model:
    """A model that was loaded: its card, its trees if it is a forest, its calibration if it has one."""

    card: ModelCard
    session: Session
    trees: Trees | None
    calibration: Calibration | None

    @classmethod
    def load(cls, folder: Path) -> Model:
        """The model in a folder; ConfigurationError when it is damaged or does not fit its card."""
        card = read_card(folder)
        files = read_files(folder, card)
        if MODEL not in files:
            raise ConfigurationError(f"the card in {folder.name} names no {MODEL}")
        trees = Trees.from_bytes(files[TREES]) if TREES in files else None
        session = Session(files[MODEL], card.centre, card.spread, trees=trees)
        if card.mode == "frames" and session.features != len(card.features):
            raise ConfigurationError(
                f"{folder.name}: the model takes {session.features} features and its card has "
                f"{len(card.features)}"
            )
        if card.classes and session.outputs != len(card.classes):
            raise ConfigurationError(
                f"{folder.name}: the model gives {session.outputs} classes, its card has {len(card.classes)}"
            )
        calibration = Calibration.from_dict(card.calibration) if card.calibration else None
        return cls(card, session, trees, calibration)

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return self.session.features

    def filled(self, features: Floats) -> Floats:
        """(n, f) features with missing ones filled in; rows that lack too many are NaN."""
        return fill(features, self.card.fills)

    def score(self, rows: Floats) -> Floats:
        """(n, k) a column for each of the card's outputs, of rows (n, w) that were filled; NaN for NaN rows.

        Probabilities of the classes an output adds up, or nines (anomaly models).
        """
        raw = self.session.run(rows)
        if self.card.kind == "autoencoder":
            raw = reconstruction_score(raw)[:, np.newaxis]
        if self.calibration is not None:
            raw = self.calibration.apply(raw)
        if self.card.nines is not None:
            return self.card.nines.apply(raw)
        if not self.card.classes:
            return raw
        return self.summed(raw)

    def probabilities(self, rows: Floats) -> Floats:
        """(n, c) the probability of each of the card's classes."""
        raw = self.session.run(rows)
        return raw if self.calibration is None else self.calibration.apply(raw)

    @cached_property
    def columns(self) -> tuple[tuple[int, ...], ...]:
        """For each of the card's outputs the numbers of the classes that it adds up."""
        number = {name: i for i, name in enumerate(self.card.classes)}
        return tuple(tuple(number[name] for name in output.classes) for output in self.card.outputs)

    def summed(self, probabilities: Floats) -> Floats:
        """(n, k) the probability of each output, from those of the classes (n, c)."""
        result = np.zeros((len(probabilities), len(self.columns)))
        # One column after the other: then the number of rows decides no bit.
        for output, columns in enumerate(self.columns):
            for column in columns:
                result[:, output] += probabilities[:, column]
        return result

    def shares(self, row: Floats, output: int) -> Floats:
        """(w,) the share of each number of a row (w,) in the score of an output; all 0 when unknown."""
        if self.card.kind == "autoencoder":
            errors = self.session.run(row[np.newaxis])[0]
            if np.isnan(errors).any():
                return np.zeros(len(row))
            return reconstruction_shares(errors, self.card.usual_errors)
        if self.trees is None:
            return np.zeros(len(row))
        if not self.card.classes or self.trees.outputs == 1:
            raised = self.trees.contributions(row, 0)
        else:
            raised = np.sum([self.trees.contributions(row, i) for i in self.columns[output]], axis=0)
        risen = np.maximum(raised, 0.0)
        total = float(risen.sum())
        shares: Floats = risen / total if total > 0 else np.zeros(len(row))
        return shares

    def quantile(self, share: float) -> float:
        """The score that this share of ordinary frames stays below; ValueError when it is not known."""
        if self.card.nines is not None:
            return self.card.nines.quantile(share)
        if self.card.quantiles is not None:
            return self.card.quantiles.at(share)
        raise ValueError("the model's card has no quantiles of ordinary scores")
