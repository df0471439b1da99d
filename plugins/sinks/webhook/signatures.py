"""Signatures after Standard Webhooks (specification 1.0): who sent this, and that nobody changed it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key within a secret: base64 behind `whsec_`, else the text itself; ValueError when neither."""
    if not secret.startswith(PREFIX):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"what is behind {PREFIX} is not base64") from None
    if not key:
        raise ValueError("a secret is empty")
    return key


def signature(keys: Sequence[bytes], identity: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, one a key."""
    signed = f"{identity}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys
    )
