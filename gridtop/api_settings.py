"""The `api:` section: whether the HTTP API is served over TCP as well, and to whom."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

SHORTEST_TOKEN = 16
"""Characters of a token that nobody guesses."""

_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::(?P<port>[0-9]{1,5}))?")
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:]+\]")
_TOKEN = re.compile(r"[!-~]+")


class TlsSettings(BaseModel):
    """The certificate that the API shows over TCP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path = Field(description="PEM file of the certificate and what it is signed with")
    key: Path = Field(description="PEM file of its private key")


class ApiSettings(BaseModel):
    """Without `listen` the API is there for the user's own programs only, at a Unix socket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str | None = Field(
        None, description="ADDRESS:PORT to serve over TCP as well, such as 127.0.0.1:5000 or [::1]:5000"
    )
    auth: Literal["token", "none"] = Field(
        "token", description="none: whoever can connect may ask and command; on loopback only"
    )
    token: SecretStr | None = Field(None, description="what clients send as Authorization: Bearer TOKEN")
    read_token: SecretStr | None = Field(None, description="another token, which may only read")
    cors_origins: tuple[str, ...] = Field(
        (), description="origins of web pages that may use the API, exactly: https://wall.example:8443"
    )
    hosts: tuple[str, ...] = Field((), description="further names the API answers to over TCP")
    tls: TlsSettings | None = None
    behind_proxy: bool = Field(
        False, description="true: a proxy in front speaks TLS, so that another address than loopback is fine"
    )
    connections: int = Field(
        256, ge=1, le=10_000, description="connections that may be open over TCP at the same time"
    )
    streams: int = Field(
        64, ge=1, le=10_000, description="event streams that one token, user or address may have open"
    )
    alerts_per_minute: int = Field(
        60, ge=1, le=60_000, description="alerts that one client may report (POST /alert) a minute"
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            address_of(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            found = _ORIGIN.fullmatch(origin)
            if not found:
                raise ValueError(
                    f"{origin!r} is not an origin; write scheme, name and port exactly and in small letters, "
                    "such as http://localhost:8080, without a path and without *"
                )
            if found["port"] == {"http": "80", "https": "443"}[origin.partition(":")[0]]:
                raise ValueError(f"browsers leave out the port of {origin!r}; leave it out here, too")
        return value

    @field_validator("hosts")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is not a host; write a name or an address in small letters, without a port, "
                    "such as gridtop.example or [fd00::5]"
                )
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        for secret in (self.token, self.read_token):
            if secret is not None and len(secret.get_secret_value()) < SHORTEST_TOKEN:
                raise ValueError(
                    f"a token has at least {SHORTEST_TOKEN} characters; openssl rand -hex 32 makes one"
                )
            if secret is not None and not _TOKEN.fullmatch(secret.get_secret_value()):
                raise ValueError("a token has no spaces and only letters, digits and signs of ASCII")
        if self.token is not None and self.token == self.read_token:
            raise ValueError("token and read_token must differ: one may command, the other may not")
        if self.listen is None:
            return self
        host, _ = address_of(self.listen)
        loopback = ipaddress.ip_address(host).is_loopback
        if self.auth == "none" and not loopback:
            raise ValueError(f"auth: none is for loopback only, and {host} can be reached from elsewhere")
        if self.auth == "token" and self.token is None and not loopback:
            raise ValueError('a token is missing: token: "${GRIDTOP_TOKEN}" takes it from the environment')
        if not loopback and self.tls is None and not self.behind_proxy:
            raise ValueError(
                f"{host} can be reached from elsewhere: give tls: {{certificate: ..., key: ...}}, or "
                "behind_proxy: true where a proxy speaks TLS"
            )
        return self


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of ADDRESS:PORT; ValueError when it is not that. `localhost` is 127.0.0.1."""
    host, colon, port = listen.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{listen!r}: write an address of IPv6 in brackets, as in [::1]:5000")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{listen!r} is not ADDRESS:PORT, such as 127.0.0.1:5000 or [::1]:5000") from None
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{listen!r} has no port from 0 to 65535, as in 127.0.0.1:5000")
    return host, int(port)
