"""The description of the API: every route is in it, every documented path answers as it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from gridtop.server import Server
from gridtop.server.openapi import document
from gridtop.server.schemas import schemas
from tests.serving import monitor_of, served_over_tcp, spaced_sags

WRITTEN = Path(__file__).parent.parent / "docs" / "openapi.json"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with the others that it refers to."""
    return schema | {"components": document()["components"]}


def check(answer: Any, schema: dict[str, Any]) -> None:
    Draft202012Validator(resolved(schema), format_checker=FormatChecker()).validate(answer)


def test_every_route_is_described_and_everything_described_is_a_route(tmp_path: Path) -> None:
    server = Server(monitor_of(spaced_sags(tmp_path)))
    routes = {
        (route.method, route.resource.canonical)
        for route in server.application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert routes == {(method, path) for method, path, _ in operations()}


def test_the_written_description_is_the_one_that_is_served() -> None:
    assert json.loads(WRITTEN.read_text(encoding="utf-8")) == document(), (
        'write it anew: python -c "import json, gridtop.server.openapi as o; '
        'print(json.dumps(o.document(), indent=1))" > docs/openapi.json'
    )


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    whole = document()

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    for reference in walk(whole):
        place = whole
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)
    for method, path, operation in operations():
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, (method, path)


BODIES: dict[str, Any] = {
    "/v1/recording": {"on": False},
    "/alert": {"type": "Imbalance", "count": 3, "message": "phase B"},
    "/v1/replay/step": {"frames": 2},
    "/v1/replay/speed": {"factor": 10},
    "/v1/replay/seek": {"row": 0},
    "/v1/alarms/{id}/{action}": {"reason": "a test", "seconds": 60},
}


async def test_every_documented_path_answers_as_it_is_documented(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        while monitor.snapshot().transport.state != "ended":
            await asyncio.sleep(0.01)
        for method, path, operation in operations():
            target = path.format(id=monitor.events()[0].id, action="acknowledge")
            sent = {"json": BODIES[path]} if path in BODIES else {}
            if sent:
                content = operation["requestBody"]["content"]["application/json"]
                check(BODIES[path], content["schema"])
            query = {"channel": "R1-PM1:V", "buckets": "4"} if path == "/v1/telemetry" else {}
            async with client.request(method, target, params=query, **sent) as answer:
                described = operation["responses"].get(str(answer.status))
                assert described is not None, (method, path, answer.status, await answer.text())
                assert answer.status in (200, 204), (method, path, await answer.text())
                if answer.status == 204:
                    assert await answer.read() == b""
                    continue
                schema = described["content"][answer.content_type]["schema"]
                if answer.content_type == "application/json":
                    check(await answer.json(), schema)
            await asyncio.sleep(0)


async def test_no_answer_has_a_field_that_is_not_described(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        while monitor.snapshot().transport.state != "ended":
            await asyncio.sleep(0.01)
        await monitor.report("x", 1, "y")
        for path, name in (("hello", "Hello"), ("snapshot", "Snapshot"), ("events", "Page")):
            async with client.get(f"/v1/{path}") as answer:
                found = await answer.json()
            assert found.keys() <= schemas()[name]["properties"].keys()
            for event in found.get("events", ()):
                assert event.keys() == schemas()["Event"]["properties"].keys()


async def test_refusals_are_as_documented(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    refusal = schemas()["Error"]
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        for path, operation in ((path, one) for method, path, one in operations() if method == "POST"):
            target = path.format(id="0", action="shelve")
            for sent, expected in (
                ({"data": "x=1", "headers": {"Content-Type": "text/plain"}}, 415),
                ({"headers": {"Origin": "http://evil.example"}}, 403),
                ({"json": [1]}, 400),
            ):
                async with client.post(target, **sent) as answer:
                    if expected == 400 and answer.status in (200, 204):
                        continue  # commands that look at no body
                    assert answer.status == expected, path
                    assert str(expected) in operation["responses"], path
                    check(await answer.json(), refusal)


def test_the_schemas_refuse_what_is_wrong() -> None:
    alert = schemas()["Alert"]
    good = {"type": "x", "count": 1, "message": ""}
    check(good, alert)
    for bad in (good | {"count": -1}, good | {"type": ""}, good | {"message": None}, {"type": "x"}):
        assert not Draft202012Validator(alert).is_valid(bad)
    assert not Draft202012Validator(resolved(schemas()["Event"])).is_valid({"id": "1"})


@pytest.mark.parametrize("speed", ["max", 0.1, 1000])
def test_a_speed_is_a_number_or_max(speed: Any) -> None:
    body = next(op for _, path, op in operations() if path == "/v1/replay/speed")["requestBody"]
    check({"factor": speed}, body["content"]["application/json"]["schema"])
