"""Model folders: a card, the model and what explains it; read when every hash is right, never unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from gridtop.errors import ConfigurationError, GridtopError
from gridtop.learning.card import ModelCard
from gridtop.text import clean

CARD, MODEL, TREES, PARITY = "card.json", "model.onnx", "trees.npz", "parity.json"
"""The files of a folder; pictures lie beside them."""
LARGEST_FILE = 256 << 20
"""Bytes: a larger file is not read."""


def model_names(folder: Path) -> list[str]:
    """The names of the model folders in a folder, sorted; empty when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if (entry / CARD).is_file())


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder; ConfigurationError when there is none."""
    if not (folder / CARD).is_file():
        there = model_names(folder.parent)
        hint = f"; there is {', '.join(there)}" if there else ""
        raise ConfigurationError(f"there is no model in {clean(str(folder))} (no {CARD}){hint}")
    return ModelCard.read(folder / CARD)


def read_files(folder: Path, card: ModelCard) -> dict[str, bytes]:
    """The contents of the model's files by name, each with the hash that the card gives.

    ConfigurationError for a file that is not there, changed, too large, or not within the folder.
    """
    return {
        name: _read(folder, name, digest) for name, digest in card.files.items() if name in (MODEL, TREES)
    }


def verify(folder: Path) -> list[str]:
    """What is wrong with a model folder, one line each: files that are changed or missing, a wrong model."""
    try:
        card = read_card(folder)
    except GridtopError as error:
        return [str(error)]
    problems: list[str] = []
    for name, digest in card.files.items():
        try:
            _read(folder, name, digest)
        except GridtopError as error:
            problems.append(str(error))
    if MODEL not in card.files:
        problems.append(f"the card names no {MODEL}")
    if not problems:
        try:
            from gridtop.learning.model import Model

            Model.load(folder)
        except GridtopError as error:
            problems.append(str(error))
    return problems


def write_folder(folder: Path, card: ModelCard, files: Mapping[str, bytes]) -> ModelCard:
    """Write a model folder, the card last, so that a folder with a card is whole; the card as written.

    Files of an earlier model in the same folder are replaced; others are left alone. The report of parity is
    written from the card.
    """
    if card.parity:
        files = {**files, PARITY: (json.dumps(card.parity, indent=1) + "\n").encode()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    written = card.model_copy(
        update={
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        }
    )
    partial = folder / f"{CARD}.part"
    partial.write_text(written.to_json(), encoding="utf-8")
    partial.replace(folder / CARD)
    return written


def _read(folder: Path, name: str, digest: str) -> bytes:
    if Path(name).name != name or name.startswith("."):
        raise ConfigurationError(f"{clean(str(folder))}: the card names a file that is not in the folder")
    path = folder / name
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigurationError(f"{clean(str(path))}: too large for a model")
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{clean(str(path))}: cannot be read: {reason}") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise ConfigurationError(
            f"{clean(str(path))}: is not the file that the card was written for; train the model again, or "
            "get the folder as a whole"
        )
    return content
