"""Who may ask what: the peer of a Unix socket; Host, Origin and token over TCP (docs/security.md)."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import replace

from aiohttp import web
from pydantic import SecretStr

from gridtop import sockets
from gridtop.api_settings import ApiSettings, address_of
from gridtop.server.answers import Refusal
from gridtop.server.guards import Caller, guard_of, socket_of
from gridtop.server.limits import Tickets
from gridtop.text import clean

ACCESS = "Gridtop-Access"
"""The header with which a client says `read`: the engine then refuses its commands."""

STREAMS = ("/v1/events", "/events")
"""What a ticket opens."""

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_UNIX_HOSTS = ("", "gridtop", *_LOCAL)
_READING = ("GET", "HEAD")
_OPEN = ("/healthz",)
"""What anybody who can connect may read: that somebody is there, and nothing else."""
_GRANTS_READING = ("/v1/ticket",)


class Access:
    """Decides over every request before anything looks at what it asks for."""

    def __init__(self, settings: ApiSettings, tickets: Tickets[Caller]) -> None:
        self._settings = settings
        self._tickets = tickets
        self._origins = frozenset(settings.cors_origins)
        bound = [] if settings.listen is None else [_in_a_url(address_of(settings.listen)[0])]
        self._hosts = frozenset((*_LOCAL, *bound, *settings.hosts))

    def admit(self, request: web.Request) -> web.Response | None:
        """Let a request pass, answer it if it only asks whether it may, or raise Refusal."""
        guard = guard_of(request)
        guard.caller, guard.origin = None, ""
        if guard.door.kind == "unix":
            guard.caller = self._neighbour(request)
            return None
        self._check_host(request)
        self._check_origin(request)
        if _is_preflight(request):
            return _permission()
        caller = self._stranger(request)
        if request.method not in _READING:
            if request.headers.get(ACCESS, "") == "read":
                raise Refusal(403, "this client asked to read only")
            if caller.scope == "read" and request.path not in _GRANTS_READING:
                raise Refusal(403, "this token may only read")
            _check_content(request)
        guard.caller = caller
        return None

    def headers(self, request: web.Request) -> dict[str, str]:
        """What lets a listed web page read the answer."""
        if not self._origins or guard_of(request).door.kind == "unix":
            return {}
        headers = {"Vary": "Origin"}
        if origin := guard_of(request).origin:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = "Gridtop-Instance, Retry-After"
        return headers

    def _neighbour(self, request: web.Request) -> Caller:
        """Who asks over the Unix socket: the user, or root."""
        connection = socket_of(request)
        if not sockets.peer_is_trusted(connection):
            raise Refusal(403, "this engine belongs to another user")
        if _host_of(request) not in _UNIX_HOSTS:
            raise Refusal(403, "this host name is not served; say localhost")
        name = sockets.peer_name(connection)
        if request.method in _READING:
            return Caller(name, "read", f"user {name}")
        if "Origin" in request.headers:
            raise Refusal(403, "commands from web pages are not accepted")
        if request.headers.get(ACCESS, "") == "read":
            raise Refusal(403, "this client asked to read only")
        _check_content(request)
        return Caller(name, "all", f"user {name}")

    def _check_host(self, request: web.Request) -> None:
        """A browser that a foreign page lured here by DNS rebinding says another name than ours."""
        host = _host_of(request)
        if host not in self._hosts and host != _in_a_url(_local_address(request)):
            raise Refusal(403, "this host name is not served; add it to api: {hosts: [...]} if it is yours")

    def _check_origin(self, request: web.Request) -> None:
        origins = request.headers.getall("Origin", [])
        if len(origins) == 1 and origins[0] in self._origins:
            guard_of(request).origin = origins[0]
        elif origins and request.method not in _READING:
            raise Refusal(403, "web pages of this origin may not use the API: it is not in api: cors_origins")

    def _stranger(self, request: web.Request) -> Caller:
        """Who asks over TCP."""
        address = _peer_address(request)
        free = Caller(f"API ({address})", "all", f"address {address}")
        if request.path in _OPEN:
            return replace(free, scope="read")
        if self._settings.auth == "none":
            return free
        stated = request.headers.getall("Authorization", [])
        if not stated and request.path in STREAMS and (ticket := request.query.get("ticket")):
            holder = self._tickets.redeem(ticket)
            if holder is None:
                raise _unknown(
                    "this ticket is not valid, or not any more; each opens one stream, within 30 s"
                )
            return holder
        scheme, _, word = stated[0].partition(" ") if len(stated) == 1 else ("", "", "")
        word = word.strip() if scheme.lower() == "bearer" else ""
        # Both are compared, so that the time says nothing about which of them is nearer.
        full, reading = _is(self._settings.token, word), _is(self._settings.read_token, word)
        if full:
            return replace(free, key="token")
        if reading:
            return replace(free, scope="read", key="read token")
        raise _unknown("a token is needed: Authorization: Bearer TOKEN")


def caller_of(request: web.Request) -> Caller:
    """Who asks, as far as `Access.admit` let it pass."""
    caller = guard_of(request).caller
    assert caller is not None  # or it would not have been let in
    return caller


def address_key(request: web.Request) -> str:
    """What the rate of one client is counted by: its user, or the address it comes from."""
    caller = caller_of(request)
    if guard_of(request).door.kind == "unix":
        return caller.key
    return f"{caller.key} {_network(_peer_address(request))}"


def _is(secret: SecretStr | None, word: str) -> bool:
    known = "" if secret is None else secret.get_secret_value()
    same = hmac.compare_digest(known.encode(), word.encode("utf-8", "surrogateescape"))
    return same and bool(known)


def _unknown(sentence: str) -> Refusal:
    return Refusal(401, sentence, {"WWW-Authenticate": 'Bearer realm="gridtop"'})


def _is_preflight(request: web.Request) -> bool:
    asked = "Access-Control-Request-Method" in request.headers
    return request.method == "OPTIONS" and asked and bool(guard_of(request).origin)


def _permission() -> web.Response:
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD, POST",
            "Access-Control-Allow-Headers": f"Authorization, Content-Type, Last-Event-ID, {ACCESS}",
            "Access-Control-Max-Age": "600",
        },
    )


def _check_content(request: web.Request) -> None:
    """JSON only: a form that a foreign page sends without asking first cannot say that it is."""
    if request.can_read_body and request.content_type != "application/json":
        raise Refusal(415, "the body must be JSON: Content-Type: application/json")


def _host_of(request: web.Request) -> str:
    """The host that the request names, without its port; a NUL when it names several."""
    names = request.headers.getall("Host", [""])
    if len(names) != 1:
        return "\0"
    name = names[0].lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name


def _local_address(request: web.Request) -> str:
    return str(socket_of(request).getsockname()[0])


def _peer_address(request: web.Request) -> str:
    return clean(request.remote or "unknown")


def _in_a_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _network(address: str) -> str:
    """An IPv6 host has as many addresses as it likes in its network of 64 bits: they count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
