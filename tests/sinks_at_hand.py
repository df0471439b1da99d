"""What tests of sinks need: an event, a place to work in, certificates, and a search for leaked secrets."""

from __future__ import annotations

import json
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trustme

from gridtop.api import Event, Host
from gridtop.config import load
from gridtop.events import Contribution
from gridtop.naming import ChannelMap
from gridtop.resolved import as_yaml

EVENT = Event(
    id="0123456789abcdef",
    kind="alarm",
    transition="raised",
    severity="critical",
    rule="voltage",
    message="R1 A voltage 0.85 pu below 0.9 pu (critical)",
    row=12,
    time=np.datetime64("2026-01-01T00:00:12.5", "ns"),
    since=np.datetime64("2026-01-01T00:00:12.4", "ns"),
    since_row=10,
    channel="R1:voltage_pu.A",
    quantity="voltage_pu",
    terminal="R1",
    phase="A",
    direction="low",
    value=0.85,
    limit=0.9,
    unit="pu",
    seq=7,
    wall=1_767_225_613.25,  # 2026-01-01T00:00:13.25Z
    priority="high",
    incident="0123456789abcdef",
    cause=(Contribution("R1:voltage_pu.A", 0.62),),
)

CANARY = "c4n4ry-7f3a"
"""A secret that no output may hold."""


def host(folder: Path, log: logging.Logger | None = None) -> Host:
    return Host("out", folder, folder, log or logging.getLogger("gridtop.test"), ChannelMap({}))


@dataclass(frozen=True)
class Certificates:
    """An authority of our own in `ca_file`, and a server that it vouches for."""

    ca_file: Path
    server: ssl.SSLContext


def certificates(folder: Path, name: str = "localhost") -> Certificates:
    authority = trustme.CA()
    file = folder / "ca.pem"
    authority.cert_pem.write_to_path(file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    return Certificates(file, server)


def shown(folder: Path, sink: dict[str, Any]) -> str:
    """What `gridtop config show` prints of a configuration with this sink."""
    file = folder / "config.yaml"
    file.write_text("source: {type: simulate}\nsinks: {out: " + json.dumps(sink) + "}\n")
    return as_yaml(load(file, environment={}))
