"""Sends events by mail, several in one, over SMTP with TLS."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, parseaddr
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from gridtop.api import DeliveryError, Duration, Event, Host, Settings, Undeliverable
from gridtop.plugins.sinks.blocking import OneAtATime
from gridtop.plugins.sinks.reasons import reason
from gridtop.plugins.sinks.receipts import Receipts
from gridtop.plugins.sinks.several import one_or_several
from gridtop.plugins.sinks.wording import letter, one_line, subject
from gridtop.plugins.tls import CaFile, OwnCertificate, Verify, client_context

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_AUTHENTICATION = {530, 534, 535, 538}
"""SMTP replies about who we are (RFC 4954), not about the mail."""


_MOST_RECEIVERS = 100
_list = one_or_several(_MOST_RECEIVERS)
_Receivers = Annotated[tuple[str, ...], _list[0], _list[1]]


class EmailSettings(Settings):
    """Settings of a mail sink."""

    model_config = ConfigDict(hide_input_in_errors=True, populate_by_name=True)

    host: str = Field(min_length=1, description="the mail server")
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="its port; if not given, 587 with starttls, 465 with tls, 25 with none",
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="nothing is sent to a server that offers no TLS, unless this is none"
    )
    username: str | None = Field(None, description="whom to log in as")
    password: SecretStr | None = Field(None, description='the password, such as "${SMTP_PASSWORD}"')
    sender: str = Field(alias="from", description="the address that mails come from: Grid <grid@example.com>")
    to: _Receivers = Field(min_length=1, max_length=_MOST_RECEIVERS, description="one address or several")
    timeout: Duration = Field("20s", validate_default=True, description="how long to wait for each answer")
    ca_file: CaFile = None
    certificate: OwnCertificate = None
    verify: Verify = True

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        address_of(value)
        return value

    @field_validator("to")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            address_of(one)
        return value

    @model_validator(mode="after")
    def _fits(self) -> EmailSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: give both or neither")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is never sent without TLS: security: starttls or tls")
        if not 1 <= self.timeout.total_seconds() <= 300:
            raise ValueError("timeout: from 1s to 5m")
        return self


def address_of(text: str) -> Address:
    """The address in `Name <local@domain>` or `local@domain`; ValueError when it is none."""
    name, bare = parseaddr(text)
    local, _, domain = bare.rpartition("@")
    try:
        # The parser leaves out what it does not understand, a line's end and all that follows included.
        if not text.isprintable() or not local or not domain or " " in bare:
            raise ValueError
        return Address(name, local, domain)
    except (ValueError, IndexError):
        raise ValueError(
            f"{one_line(text, 60)!r} is not an address; write it like grid@example.com"
        ) from None


class Email:
    """One mail for up to `batch` events, to all receivers at once."""

    Config: ClassVar = EmailSettings
    batch: ClassVar[int] = 50
    usual_rate: ClassVar[int] = 10
    """Events a minute: people read this."""

    def __init__(self, config: EmailSettings, host: Host) -> None:
        self._config, self._host = config, host
        self._port = config.port or _PORTS[config.security]
        self._sender, self._to = address_of(config.sender), [address_of(one) for one in config.to]
        self._context: ssl.SSLContext | None = None
        self._thread = OneAtATime()
        self._receipts = Receipts()
        # Greeting, TLS, login and data each have their own answer.
        self._limit = 3 * config.timeout.total_seconds()
        self.patience = self._limit + 5

    async def open(self) -> None:
        """Prepare TLS; OSError when `ca_file` or `certificate` cannot be used."""
        if self._config.security != "none":
            self._context = client_context(self._config, self._host)

    async def send(self, events: Sequence[Event]) -> None:
        """Send one mail; DeliveryError or Undeliverable as the server says."""
        if self._context is None:
            await self.open()
        left = self._receipts.without(events, [address.addr_spec for address in self._to])
        message = self._message(events)
        try:
            refused = await self._thread.run(
                lambda: self._deliver(message, [str(one) for one in left]), self._limit
            )
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except (smtplib.SMTPException, OSError) as error:
            raise self._judged(error) from None
        self._settle(left, refused)

    async def close(self) -> None:
        """Nothing is kept open between mails."""

    def _message(self, events: Sequence[Event]) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = f"[gridtop] {subject(events)}"
        message["From"] = self._sender
        message["To"] = self._to
        message["Date"] = localtime()
        message["Message-ID"] = f"<{_identity(events)}@{self._domain()}>"
        incidents = {event.incident for event in events}
        if len(incidents) == 1 and (incident := incidents.pop()).isalnum():
            message["References"] = f"<{incident}@{self._domain()}>"  # one thread an incident
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(letter(events))
        return message

    def _domain(self) -> str:
        return self._sender.domain.encode("idna").decode()

    def _deliver(self, message: EmailMessage, receivers: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Speak SMTP in a thread; the receivers that the server refused while it took others."""
        config, timeout = self._config, self._config.timeout.total_seconds()
        server: smtplib.SMTP
        if config.security == "tls":
            server = smtplib.SMTP_SSL(config.host, self._port, timeout=timeout, context=self._context)
        else:
            server = smtplib.SMTP(config.host, self._port, timeout=timeout)
        try:
            if config.security == "starttls":
                server.starttls(context=self._context)
            if config.username is not None and config.password is not None:
                server.login(config.username, config.password.get_secret_value())
            refused: dict[str, tuple[int, bytes]] = server.send_message(
                message, self._sender.addr_spec, list(receivers)
            )
        except BaseException:
            server.close()
            raise
        with suppress(smtplib.SMTPException, OSError):
            server.quit()  # the mail is taken, whatever comes now
        return refused

    def _settle(self, tried: Sequence[object], refused: dict[str, tuple[int, bytes]]) -> None:
        """Judge by receiver: who took it gets no second copy when another is tried again."""
        for receiver in tried:
            if receiver not in refused:
                self._receipts.took(receiver)
        if not refused:
            return
        later = {who: answer for who, answer in refused.items() if answer[0] < 500}
        told = ", ".join(f"{who} ({_told(*answer)})" for who, answer in (later or refused).items())
        text = f"{self._config.host} refuses {one_line(told, 300)}"
        if later:
            raise DeliveryError(text)
        if len(refused) == len(self._to):
            raise Undeliverable(text)
        self._host.log.warning("sink %s: %s; the others got the mail", self._host.instance, text)

    def _judged(self, error: Exception) -> Exception:
        """What a failure means for the events."""
        place = f"{self._config.host}:{self._port}"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            # Nothing of its answer: a hostile server may quote what we sent.
            return DeliveryError(f"{place} refuses the login ({error.smtp_code})")
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return DeliveryError(
                f"{place} lacks what is needed, so nothing was sent: {one_line(str(error), 100)}"
            )
        if isinstance(error, smtplib.SMTPResponseException):
            text = f"{place} answers {_told(error.smtp_code, error.smtp_error)}"
            about_us = isinstance(error, (smtplib.SMTPConnectError, smtplib.SMTPHeloError))
            if error.smtp_code < 500 or about_us or error.smtp_code in _AUTHENTICATION:
                return DeliveryError(text)
            return Undeliverable(text)
        if isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, OSError):
            error = error.__context__  # why
        return DeliveryError(f"{place}: {reason(error)}")


def _identity(events: Sequence[Event]) -> str:
    """The first event's id and a digest of all: another choice of events is another mail.

    With the first id alone a receiver that drops repetitions would lose what a retry had in addition.
    """
    together = "\n".join(event.id for event in events)
    return f"{events[0].id}.{hashlib.blake2b(together.encode(), digest_size=6).hexdigest()}"


def _told(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return one_line(f"{code} {' '.join(words.split())}", 150)
