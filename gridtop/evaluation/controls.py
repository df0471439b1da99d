"""A positive control: two simulated recordings across which a model that learns something does transfer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gridtop.evaluation.learned import Control, Learned
from gridtop.evaluation.learners import CONSTANT, Material, Plan, learned
from gridtop.simulation import ShortCircuit, Simulation
from gridtop.simulation.network import Fault, FaultKind
from gridtop.simulation.recording import write_recording
from gridtop.training.datasets import choose_features, class_names, dataset
from gridtop.training.held_out import Step
from gridtop.training.lessons import lessons

SEEDS = (101, 102)
"""Of the recording to learn from and of the one to be tested on."""
SECONDS = 165
QUIET_S = 66.0
"""The first event comes when the baseline has had its minute."""
EVERY_S = 12.0
OUTAGE_S = 5.0
"""So long the line stays open after a fault is cleared."""
RATE = 30
_FAULTS: tuple[FaultKind, ...] = ("AG", "BC", "ABC", "BG", "CA", "CG", "AB", "ABC")
NOTE = (
    f"The same models, taught on a simulated recording and tested on another: the 128 columns of the public "
    f"data, the same grid, {len(_FAULTS)} short circuits each, of other places, moments and noise. That is "
    "easy, and says nothing of the field or of the recordings above: it shows what these figures look like "
    "when what was learned does transfer. A model that fails here learns nothing that could"
)


def positive_control(plan: Plan, found: Material, step: Step = lambda: None) -> Control:
    """Teach and test the models of a plan across simulated recordings, with the recipe that the data allows.

    They tell events from none, whatever the classes of the plan are.
    """
    chosen = found.data.chosen
    recipe = "channels" if chosen.recipe == "transfer" and chosen.scope == "site" else chosen.recipe
    own = replace(plan, recipe=recipe, classes="binary", split=None, leaking=False)
    with TemporaryDirectory() as folder:
        first, second = lessons([simulated(Path(folder), number) for number in range(len(SEEDS))])
        features = choose_features([first], recipe)
        data = dataset([first], features, class_names([first], "binary"))
        test = dataset([second], data.chosen, data.classes, fills=data.fills)
    here = Material(data, test, (first.name,), None, ())
    return Control(NOTE, tuple(_without_constant(learned(own, kind, here, step)) for kind in plan.kinds))


def _without_constant(one: Learned) -> Learned:
    """Nobody logs anything in the control, so that some of its columns are constant on purpose."""
    return replace(one, remarks=tuple(text for text in one.remarks if not text.startswith(CONSTANT)))


def simulated(folder: Path, number: int) -> Path:
    """Write the recording of this number, 0 or 1, and its list of events into a folder."""
    events = [
        ShortCircuit(
            # Nothing of one recording may give away the other: other moments, lines and places.
            start=QUIET_S + EVERY_S * i + (3.1 * i * (number + 2)) % 4.0,
            fault=Fault(
                "L1" if (i + number) % 2 == 0 else "L2",
                kind,
                distance=0.15 + 0.08 * ((3 * i + 5 * number) % len(_FAULTS)),
                resistance=2.0 + 2.0 * number,
            ),
            outage=OUTAGE_S,
        )
        for i, kind in enumerate(_FAULTS)
    ]
    path = folder / f"control-{number + 1}.csv"
    start = np.datetime64("2026-01-01T00:00:00", "us") + np.timedelta64(number, "h")
    write_recording(
        path, Simulation(events=events, seed=SEEDS[number], rate=RATE), SECONDS * RATE, start=start
    )
    return path
