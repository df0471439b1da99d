"""TLS as every source and sink speaks it: version 1.2 or newer, the other side's certificate checked."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field

from gridtop.api import Host

CaFile = Annotated[
    Path | None,
    Field(description="PEM file of the authorities to trust instead of the system's"),
]
OwnCertificate = Annotated[
    Path | None,
    Field(description="PEM file of our own certificate and its key, for servers that ask for one"),
]
Verify = Annotated[
    bool,
    Field(description="false: take any certificate, which protects against nobody in between; for trying"),
]


class TlsSettings(Protocol):
    """Whom to trust, and what to show of oneself: part of the settings of whatever speaks TLS."""

    @property
    def ca_file(self) -> CaFile:
        """Relative to the configuration."""
        ...

    @property
    def certificate(self) -> OwnCertificate:
        """Relative to the configuration."""
        ...

    @property
    def verify(self) -> Verify:
        """Whether certificates and names are checked."""
        ...


def client_context(settings: TlsSettings, host: Host) -> ssl.SSLContext:
    """What connections are made with; OSError when a file is missing or is something else."""
    context = _trusting(settings, host)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not settings.verify:
        host.log.warning("TLS of %s: verify is off, so anybody in between can read along", host.instance)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.certificate is not None:
        path = host.inputs / settings.certificate
        try:
            context.load_cert_chain(path)
        except OSError as error:
            raise OSError(f"certificate: {path} {_unreadable(error)}") from error
    return context


def _trusting(settings: TlsSettings, host: Host) -> ssl.SSLContext:
    if settings.ca_file is None:
        return ssl.create_default_context()
    path = host.inputs / settings.ca_file
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise OSError(f"ca_file: {path} {_unreadable(error)}") from error


def _unreadable(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "is not a PEM file of what is needed"
    return f"cannot be read ({error.strerror})"
