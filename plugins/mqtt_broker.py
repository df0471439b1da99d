"""How a broker is reached: what the MQTT source and the MQTT sink have in common."""

from __future__ import annotations

from importlib.util import find_spec

from pydantic import ConfigDict, Field, SecretStr

from gridtop.api import Duration, Settings
from gridtop.plugins.tls import CaFile, OwnCertificate, Verify


class BrokerSettings(Settings):
    """The broker, who logs in, and how it is trusted."""

    model_config = ConfigDict(hide_input_in_errors=True)

    host: str = Field(min_length=1, description="the broker")
    port: int | None = Field(
        None, ge=1, le=65535, description="its port; if not given, 8883 with TLS and 1883 without"
    )
    tls: bool = Field(False, description="speak TLS")
    username: str | None = Field(None, description="whom to log in as; only with TLS")
    password: SecretStr | None = Field(None, description='the password, such as "${MQTT_PASSWORD}"')
    client_id: str | None = Field(
        None, min_length=1, max_length=128, description="the name at the broker; if not given, any"
    )
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for the broker")
    ca_file: CaFile = None
    certificate: OwnCertificate = None
    verify: Verify = True

    @property
    def port_in_use(self) -> int:
        """The port, or the usual one."""
        return self.port or (8883 if self.tls else 1883)

    def check_login(self) -> None:
        """ValueError when a password would be sent in the clear, or the time-out is out of bounds."""
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.username is not None and not self.tls:
            raise ValueError("a password is never sent without TLS: tls: true")
        if not 1 <= self.timeout.total_seconds() <= 300:
            raise ValueError("timeout: from 1s to 5m")


def check_library() -> None:
    """ValueError when the extra `mqtt` is not installed."""
    if find_spec("aiomqtt") is None:
        raise ValueError("aiomqtt is not installed: pip install 'gridtop[mqtt]'")
