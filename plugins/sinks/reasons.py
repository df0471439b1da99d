"""Why something could not be sent, in a few words that never quote what was sent or to which path."""

from __future__ import annotations

import socket
import ssl


def reason(error: BaseException) -> str:
    """A network error in words: `connection refused`, `its certificate is not trusted (...)`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({(error.reason or 'no reason given').replace('_', ' ').lower()})"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return "the connection was lost"
