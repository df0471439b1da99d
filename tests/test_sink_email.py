"""The email sink against a real SMTP server on loopback, with STARTTLS and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import logging
import ssl
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from pydantic import ValidationError

from gridtop.api import DeliveryError, Event, Undeliverable
from gridtop.plugins.sinks.blocking import OneAtATime
from gridtop.plugins.sinks.email import Email
from tests.sinks_at_hand import CANARY, EVENT, certificates, host, shown


@dataclass
class Server:
    """A mail server that keeps what it takes and refuses what it is told to."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    """What is said to a receiver, to `MAIL` or to `DATA`, where it is not a yes."""
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_MAIL(self, _s: Any, _: Any, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 fine"

    async def handle_RCPT(self, _s: Any, _: Any, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.answers:
            return self.answers["DATA"]
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append((list(envelope.rcpt_tos), message))
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 taken"

    def log_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(f"{data.login.decode()}:{data.password.decode()}")
        return AuthResult(success=data.password == b"right", handled=False)


@contextlib.asynccontextmanager
async def serving(
    starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, **answers: str
) -> AsyncIterator[Server]:
    server = Server(answers={name.replace("__", "@") + "": text for name, text in answers.items()})

    def protocol() -> SMTP:
        return SMTP(
            server,
            hostname="mail.test",
            tls_context=starttls,
            authenticator=server.log_in,
            auth_require_tls=tls is None,
        )

    listening = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def sink(server: Server, folder: Path = Path(), **settings: Any) -> Email:
    usual = {
        "host": "localhost",
        "port": server.port,
        "from": "Grid <grid@example.com>",
        "to": "a@example.com",
    }
    config = Email.Config.model_validate({**usual, "timeout": "5s", **settings})
    return Email(config, host(folder))


async def mail_of(*events: Event, **settings: Any) -> EmailMessage:
    """The one mail that these events become."""
    async with serving() as server:
        await sink(server, security="none", **settings).send(events)
    ((_, message),) = server.mails
    return message


EVENTS = [
    replace(EVENT, id=f"{number:016x}", transition=transition, severity=severity)
    for number, (transition, severity) in enumerate(
        [("raised", "warning"), ("escalated", "critical"), ("cleared", "critical")], 1
    )
]


async def test_several_events_are_one_mail_of_readable_lines() -> None:
    message = await mail_of(*EVENTS, to=["a@example.com", "Bea <b@example.com>"])
    assert message["Subject"] == "[gridtop] CRITICAL voltage R1:voltage_pu.A: raised, and 2 more"
    assert message["From"] == "Grid <grid@example.com>"
    assert message["To"] == "a@example.com, Bea <b@example.com>"
    text = message.get_content()
    lines = [line for line in text.splitlines() if not line.startswith(" ")]
    assert len(lines) == 3
    assert lines[0] == (
        "2026-01-01T00:00:12.5Z  warning   raised        voltage R1:voltage_pu.A: "
        "R1 A voltage 0.85 pu below 0.9 pu (critical)"
    )
    assert "    rests on R1:voltage_pu.A 62 %" in text
    assert "    incident 0123456789abcdef, event 0000000000000002" in text


async def test_a_mail_says_that_no_person_wrote_it() -> None:
    message = await mail_of(EVENT)
    assert message["Auto-Submitted"] == "auto-generated"


async def test_the_same_events_have_the_same_message_id_and_others_another() -> None:
    first, again = await mail_of(*EVENTS), await mail_of(*EVENTS)
    assert first["Message-ID"] == again["Message-ID"]
    assert str(first["Message-ID"]).startswith(f"<{EVENTS[0].id}.")
    # A retry may carry more events; a receiver that drops repetitions must not drop them.
    assert (await mail_of(*EVENTS[:2]))["Message-ID"] != first["Message-ID"]


async def test_text_from_the_data_cannot_add_headers_or_hide() -> None:
    evil = "x\r\nBcc: everybody@example.com\r\n\r\nhello\u202e\x1b[2J"
    message = await mail_of(replace(EVENT, rule=evil, channel=evil, message=evil, incident=evil))
    assert message["Bcc"] is None
    assert "everybody" in message["Subject"]
    assert all(letter.isprintable() or letter in "\r\n" for letter in message.get_content())
    assert not any(line.startswith("Bcc") for line in message.get_content().splitlines())


async def test_text_in_any_language_arrives() -> None:
    message = await mail_of(replace(EVENT, rule="Spannung", message="Δ 5 °, 電圧"))
    assert "Δ 5 °, 電圧" in message.get_content()


async def test_starttls_comes_before_login_and_mail(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with serving(starttls=own.server) as server:
        out = sink(server, tmp_path, ca_file="ca.pem", username="grid", password="right")
        await out.open()
        await out.send([EVENT])
        await out.close()
    assert server.encrypted == [True]
    assert server.logins == ["grid:right"]


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with serving(tls=own.server) as server:
        await sink(server, tmp_path, security="tls", ca_file="ca.pem").send([EVENT])
    assert server.encrypted == [True]


async def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    async with serving() as server:
        with pytest.raises(DeliveryError, match="lacks what is needed, so nothing was sent: STARTTLS"):
            await sink(server, username="grid", password="right").send([EVENT])
    assert server.mails == []
    assert server.logins == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with serving(starttls=own.server) as server:
        with pytest.raises(DeliveryError, match="its certificate is not trusted"):
            await sink(server, username="grid", password="right").send([EVENT])
    assert server.logins == []


async def test_a_refused_login_is_temporary_because_somebody_may_mend_it(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with serving(starttls=own.server) as server:
        out = sink(server, tmp_path, ca_file="ca.pem", username="grid", password="wrong")
        with pytest.raises(DeliveryError, match="refuses the login \\(535\\)"):
            await out.send([EVENT])


@pytest.mark.parametrize(
    ("where", "answer", "expected"),
    [
        ("MAIL", "451 try later", DeliveryError),
        ("MAIL", "530 authenticate first", DeliveryError),
        ("MAIL", "553 no such sender", Undeliverable),
        ("DATA", "452 no room", DeliveryError),
        ("DATA", "554 this is spam", Undeliverable),
        ("a@example.com", "450 greylisted", DeliveryError),
        ("a@example.com", "550 nobody of that name", Undeliverable),
    ],
)
async def test_four_hundred_is_temporary_and_five_hundred_is_not(
    where: str, answer: str, expected: type[Exception]
) -> None:
    async with serving() as server:
        server.answers[where] = answer
        with pytest.raises(expected, match=answer):
            await sink(server, security="none").send([EVENT])
    assert server.mails == []


async def test_who_took_a_mail_gets_no_second_one_when_another_is_tried_again() -> None:
    async with serving() as server:
        server.answers["b@example.com"] = "450 greylisted"
        out = sink(server, security="none", to=["a@example.com", "b@example.com"])
        with pytest.raises(DeliveryError, match=r"refuses b@example.com \(450 greylisted\)"):
            await out.send([EVENT])
        del server.answers["b@example.com"]
        await out.send([EVENT])
        await out.send([EVENTS[1]])
    assert [receivers for receivers, _ in server.mails] == [
        ["a@example.com"],
        ["b@example.com"],
        ["a@example.com", "b@example.com"],
    ]


async def test_one_receiver_that_does_not_exist_is_told_and_the_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as server:
        server.answers["b@example.com"] = "550 nobody of that name"
        await sink(server, security="none", to=["a@example.com", "b@example.com"]).send([EVENT])
    assert len(server.mails) == 1
    assert "refuses b@example.com (550 nobody of that name); the others got the mail" in caplog.text


async def test_a_server_that_is_away_is_temporary() -> None:
    async with serving() as server:
        pass
    with pytest.raises(DeliveryError, match=f"localhost:{server.port}: connection refused"):
        await sink(server, security="none").send([EVENT])


async def test_a_server_that_says_nothing_is_temporary() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    held = asyncio.Event()
    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    server = Server(listening.sockets[0].getsockname()[1])
    with pytest.raises(DeliveryError, match="no answer in time"):
        await sink(server, security="none", timeout="1s").send([EVENT])
    held.set()
    listening.close()


async def test_a_call_that_never_returns_holds_up_only_its_own_sink() -> None:
    stuck, release = OneAtATime(), threading.Event()
    with pytest.raises(DeliveryError, match=r"no answer within 0\.01 s"):
        await stuck.run(release.wait, 0.01)
    with pytest.raises(DeliveryError, match="the attempt before has not ended yet"):
        await stuck.run(release.wait, 0.01)
    assert await OneAtATime().run(lambda: "other sinks go on", 5) == "other sinks go on"
    release.set()
    while True:
        try:
            assert await stuck.run(lambda: "again", 5) == "again"
            break
        except DeliveryError:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"security": "none", "username": "u", "password": "p"}, "a password is never sent without TLS"),
        ({"username": "u"}, "username and password belong together"),
        ({"to": []}, "at least 1 item"),
        ({"to": "nobody"}, "'nobody' is not an address"),
        ({"to": "a@example.com\r\nBcc: b@example.com"}, "is not an address"),
        ({"from": "a@b@c"}, "is not an address"),
        ({"from": "Grid\nBcc: x@y.z <grid@example.com>"}, "is not an address"),
        ({"timeout": "1h"}, "timeout: from 1s to 5m"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    usual = {"host": "mail.example", "from": "grid@example.com", "to": "a@example.com"}
    with pytest.raises(ValidationError, match=message):
        Email.Config.model_validate({**usual, **settings})


async def test_the_password_is_in_no_output(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {"host": "mail.example", "from": "g@example.com", "to": "a@example.com"}
    settings |= {"username": "grid", "password": CANARY}
    assert CANARY not in shown(tmp_path, {"type": "email", **settings})
    own = certificates(tmp_path)
    async with serving(starttls=own.server) as server:
        out = sink(server, tmp_path, ca_file="ca.pem", username="grid", password=CANARY)
        with pytest.raises(DeliveryError) as caught:
            await out.send([EVENT])
    assert set(server.logins) == {f"grid:{CANARY}"}
    # smtplib's and the server's own debug lines are not ours, and are not shown by gridtop.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("mail")]
    assert CANARY not in "\n".join([str(caught.value), repr(out.Config.model_validate(settings)), *ours])
