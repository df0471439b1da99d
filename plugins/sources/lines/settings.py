"""The settings of `type: lines` and `type: tcp`."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, field_validator, model_validator

from gridtop.api import Duration, Settings


class LineSettings(Settings):
    """What both have: how the lines are written, and how their frames follow."""

    format: Literal["auto", "csv", "json"] = Field(
        "auto", description="how lines are written; auto: JSON when the first one begins with {, else CSV"
    )
    columns: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="the names of the columns, for CSV without a header, or for JSON whose first line "
        "lacks some",
    )
    rate: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="frames per second; measured from the first lines when not given, 30 without times",
    )
    time: Literal["column", "arrival"] = Field(
        "column", description="arrival: the time of a frame is when it arrived, whatever it says"
    )
    silence: Duration | None = Field(
        None,
        description="after so long without a row, frames without values say that data are missing; when not "
        "given 1s, and longer where rows come seldom or in portions",
    )

    @field_validator("silence")
    @classmethod
    def _positive(cls, value: Duration | None) -> Duration | None:
        if value is not None and not value:
            raise ValueError("must be longer than 0s")
        return value


class LinesSettings(LineSettings):
    """Settings of `type: lines`."""

    path: str = Field(
        "-",
        min_length=1,
        description="- for standard input, or a file that grows; relative to the configuration",
    )
    start: Literal["end", "beginning"] = Field(
        "end", description="of a file: only what is added from now on, or all that is there as well"
    )


class TcpSettings(LineSettings):
    """Settings of `type: tcp`."""

    connect: str | None = Field(None, description="HOST:PORT to connect to; tried again until it answers")
    listen: str | None = Field(
        None, description="ADDRESS:PORT to be connected to, on loopback only, by one sender at a time"
    )
    silent_after: Duration = Field(
        "30s", validate_default=True, description="a connection silent for so long is given up; 0: never"
    )

    @field_validator("connect", "listen")
    @classmethod
    def _has_a_port(cls, value: str | None) -> str | None:
        if value is not None:
            place(value)
        return value

    @model_validator(mode="after")
    def _one_way(self) -> TcpSettings:
        if (self.connect is None) == (self.listen is None):
            raise ValueError("give connect: HOST:PORT or listen: ADDRESS:PORT, one of the two")
        if self.listen is not None and not _is_loopback(place(self.listen)[0]):
            raise ValueError(
                "listen: only on loopback (127.0.0.1 or ::1), because lines come without a password; "
                "use connect:, or a tunnel that ends here"
            )
        return self


def place(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[::1]:PORT`; ValueError when it is neither."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address is written [::1]:4712")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
