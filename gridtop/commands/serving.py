"""Serving a run: the socket where screens attach, the token of the API over TCP, and the server beside it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from gridtop.errors import GridtopError

if TYPE_CHECKING:
    from gridtop.api_settings import ApiSettings
    from gridtop.config import Configuration
    from gridtop.monitor import Monitor
    from gridtop.sockets import Listening

_log = logging.getLogger("gridtop")

_HEAD_START = 1.0
"""Seconds that the source has to open before the server starts beside it."""


def listening_at(place: str | None, needed: bool) -> Listening | None:
    """The socket for screens. Without one that was asked for or is needed the run fails; else it goes on
    unserved."""
    from gridtop import sockets

    try:
        return sockets.Listening(sockets.resolved(place) if place else sockets.fresh())
    except GridtopError as error:
        if place or needed:
            raise
        _log.warning("screens cannot attach: %s", error)
        return None


@contextlib.asynccontextmanager
async def served(
    monitor: Monitor,
    configuration: Configuration,
    listening: Listening | None,
    api: ApiSettings,
    ready_fd: int | None,
) -> AsyncIterator[None]:
    """Serve the monitor while it runs, from the moment that the server is there.

    GridtopError at the end when it could not be served where it was asked to be.
    """
    if listening is None:
        yield
        return
    serving = asyncio.create_task(_serve(monitor, configuration, listening, api, ready_fd), name="server")
    try:
        yield
    finally:
        serving.cancel()
        [outcome] = await asyncio.gather(serving, return_exceptions=True)
    if isinstance(outcome, GridtopError):
        raise outcome


async def _serve(
    monitor: Monitor,
    configuration: Configuration,
    listening: Listening,
    api: ApiSettings,
    ready_fd: int | None,
) -> None:
    # The HTTP library takes a third of a second to import: measurements come first.
    try:
        await asyncio.wait_for(monitor.opened(), _HEAD_START)
    except TimeoutError:
        pass
    except GridtopError:
        return  # the run ends with it
    server: Any = None
    try:
        module = await asyncio.to_thread(importlib.import_module, "gridtop.server")
        server = module.Server(monitor, api, inputs=configuration.directory)
        await server.start(listening.socket)
        if api.listen is not None:
            host, port = await server.listen_tcp()
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            # With port 0 nobody knows it otherwise.
            _log.warning("the API listens at http%s://%s", "s" if api.tls else "", place)
        if ready_fd is not None:
            from gridtop.engine import say_ready

            say_ready(ready_fd)
        await asyncio.Event().wait()
    except GridtopError:
        monitor.stop()  # whoever asked for it relies on it
        raise
    except Exception:
        _log.exception("screens cannot attach")
        if ready_fd is not None:
            monitor.stop()  # whoever started this engine waits for it in vain
    finally:
        if server is not None:
            await server.close()


def with_token(api: ApiSettings, listening: Listening, places: contextlib.ExitStack) -> ApiSettings:
    """The settings with a token for the API over TCP where it needs one and they name none: a new one for
    this run, in a file beside the socket that only this user can read. `places` removes it."""
    if api.listen is None or api.auth == "none" or api.token is not None:
        return api
    from pydantic import SecretStr

    token, path = secrets.token_urlsafe(32), listening.path.with_name(f"{listening.path.stem}.token")
    if path == listening.path:
        raise click.UsageError(f"the token of the API goes to {path}; give the socket another name")
    places.callback(path.unlink, missing_ok=True)
    try:
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)
    except OSError as error:
        raise GridtopError(
            f"the token of the API cannot be written to {path}: {error.strerror}; set api.token"
        ) from error
    _log.warning("the token of the API over TCP is in %s until this run ends", path)
    return api.model_copy(update={"token": SecretStr(token)})
