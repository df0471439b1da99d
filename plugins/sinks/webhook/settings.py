"""The settings of a webhook, and what is wrong with some."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_serializer, field_validator

from gridtop.api import Duration, Settings
from gridtop.plugins.sinks.several import one_or_several
from gridtop.plugins.sinks.webhook.addresses import Refused, check_host
from gridtop.plugins.sinks.webhook.signatures import key_of
from gridtop.plugins.tls import CaFile, OwnCertificate, Verify

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = {"connection", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding"}
_OURS |= {"webhook-id", "webhook-signature", "webhook-timestamp"}


_list = one_or_several(2, format="password")
_Secrets = Annotated[tuple[SecretStr, ...], _list[0], _list[1]]


class WebhookSettings(Settings):
    """Settings of a webhook."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: SecretStr = Field(
        description="where to send, http or https; shown without its path, because that is often a secret"
    )
    body: Literal["event", "alert"] = Field(
        "event", description="the whole event (docs/events.md), or exactly {type, count, message}"
    )
    method: Literal["POST", "PUT"] = Field("POST", description="the HTTP method")
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description='further headers, such as {Authorization: "Bearer ${TOKEN}"}'
    )
    secret: _Secrets = Field(
        (),
        max_length=2,
        description="signs each request after Standard Webhooks: whsec_ and base64, or a text; two while "
        "receivers change from one to the other",
    )
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for the answer")
    ca_file: CaFile = None
    certificate: OwnCertificate = None
    verify: Verify = True

    @field_validator("url")
    @classmethod
    def _can_be_sent_to(cls, value: SecretStr) -> SecretStr:
        url = split(value)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("should begin with http:// or https:// and a host")
        if url.username is not None or url.password is not None or "@" in url.netloc:
            raise ValueError("no user and password in the URL: put an Authorization header into headers")
        if re.search(r"[\x00-\x20\x7f\\]", value.get_secret_value()):
            raise ValueError("no spaces, control characters or backslashes in the URL")
        try:
            check_host(url.hostname)
        except Refused as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, text in value.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a header")
            if name.lower() in _OURS:
                raise ValueError(f"{name} is a header that gridtop writes itself")
            if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text.get_secret_value()):
                raise ValueError(f"the value of {name} holds a control character, such as a line's end")
        return value

    @field_validator("secret")
    @classmethod
    def _are_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            key_of(secret.get_secret_value())
        return value

    @field_validator("timeout")
    @classmethod
    def _waits(cls, value: Duration) -> Duration:
        if not 0.1 <= value.total_seconds() <= 300:
            raise ValueError("from 100ms to 5m")
        return value

    @field_serializer("url", when_used="json")
    def _shown(self, url: SecretStr) -> str:
        path = split(url)._replace(scheme="", netloc="").geturl()
        return origin(url) + (path if path in ("", "/") else "/***")


def split(url: SecretStr) -> SplitResult:
    """The parts of a URL; ValueError when it is none."""
    try:
        parts = urlsplit(url.get_secret_value())
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL; write it like https://receiver.example/path") from None
    return parts


def origin(url: SecretStr) -> str:
    """Scheme, host and port of a URL: what may be told of it."""
    parts = split(url)
    return f"{parts.scheme}://{parts.netloc}"
