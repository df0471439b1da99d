"""The HTTP API of a running monitor: what screens and other programs attach to (docs/http-api.md).

Only this package imports aiohttp for serving. It is split by questions: who may ask (access, guards,
limits), what is asked (questions, commands, streams, alerts, metrics), and what that looks like from
outside (schemas, openapi).
"""

from gridtop.server.application import Server

__all__ = ["Server"]
