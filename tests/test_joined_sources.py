"""A source that joins others: its `sources:` are checked, built and shown like any plugin's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr

from gridtop.api import Block, ChannelSet, Host, Settings
from gridtop.building import source_of
from gridtop.config import Configuration, load
from gridtop.errors import ConfigurationError, PluginError
from gridtop.reloading import aligned, difference
from gridtop.resolved import as_dict


class Plain:
    """A source with a setting and a secret."""

    live = True
    identity = "plain"

    class Config(Settings):
        rate: float = Field(30, gt=0)
        token: SecretStr = SecretStr("")

    def __init__(self, config: Config, host: Host) -> None:
        self.config, self.host = config, host

    async def open(self) -> ChannelSet:
        return ChannelSet(())

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        return
        yield

    async def close(self) -> None:
        pass


class Joining(Plain):
    """One that is given others."""

    joins = True

    class Config(Settings):
        wait: float = 1.0


class Registry:
    problems = ()

    def load(self, kind: str, name: str) -> type:
        offers: dict[str, type] = {"plain": Plain, "join": Joining}
        if name not in offers:
            raise PluginError(f"no {kind} plugin is called {name!r}")
        return offers[name]


def read(text: str, folder: Path, **environment: str) -> Configuration:
    (folder / "config.yaml").write_text(text)
    registry: Any = Registry()
    return load(folder / "config.yaml", registry=registry, environment=environment)


def mistakes(text: str, folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read(text, folder)
    place = f"{folder / 'config.yaml'}:"
    return [line.removeprefix(place) for line in str(raised.value).splitlines() if line.startswith(place)]


GOOD = """\
source:
  type: join
  wait: 2
  sources:
    north: {type: plain, rate: 50}
    south: {type: plain, token: "${TOKEN}"}
"""


def test_a_joining_source_is_given_those_it_joins(tmp_path: Path) -> None:
    configuration = read(GOOD, tmp_path, TOKEN="open sesame")
    source: Any = source_of(configuration)
    assert list(source.host.sources) == ["north", "south"]
    assert source.host.sources["north"].config.rate == 50
    assert source.host.sources["south"].host.instance == "south"
    assert source.host.sources["south"].config.token.get_secret_value() == "open sesame"
    assert source.config.wait == 2


def test_what_is_in_force_shows_joined_sources_and_hides_their_secrets(tmp_path: Path) -> None:
    shown = as_dict(read(GOOD, tmp_path, TOKEN="open sesame"))["source"]
    assert shown["wait"] == 2
    assert shown["sources"]["north"] == {"type": "plain", "rate": 50, "token": ""}
    assert shown["sources"]["south"]["token"] == "***"
    assert "sesame" not in str(shown)


def test_mistakes_in_joined_sources_have_their_place(tmp_path: Path) -> None:
    text = """\
source:
  type: join
  sources:
    north: {type: plain, rat: 50}
    south: {type: nowhere}
    1st: {type: plain}
    inner: {type: join, sources: {deep: {type: plain}}}
    bare: 5
    fast: {type: plain, speed: 4}
"""
    found = mistakes(text, tmp_path)
    assert found == [
        "4:26: source.sources.north.rat: unknown setting (did you mean 'rate'?)",
        "5:19: source.sources.south.type: no source plugin is called 'nowhere'",
        "6:5: source.sources.1st: a name is a letter and up to 63 more letters, digits, _ or -",
        "7:19: source.sources.inner.type: a source that joins others cannot be joined itself",
        "8:11: source.sources.bare: should be a map, not 5",
        "9:25: source.sources.fast.speed: unknown setting",
    ]


def test_a_joining_source_needs_some_to_join(tmp_path: Path) -> None:
    for text in ("source: {type: join}", "source: {type: join, sources: {}}"):
        assert "say which ones it joins" in mistakes(text, tmp_path)[0]


def test_sources_are_unknown_to_one_that_joins_none(tmp_path: Path) -> None:
    text = "source: {type: plain, sources: {north: {type: plain}}}"
    assert mistakes(text, tmp_path) == ["1:23: source.sources: unknown setting"]


def test_a_reload_tells_of_a_changed_joined_source(tmp_path: Path) -> None:
    before, same = read(GOOD, tmp_path, TOKEN="x"), read(GOOD, tmp_path, TOKEN="x")
    assert difference(before, aligned(before, same)) == "configuration reloaded: nothing to change"
    other = read(GOOD.replace("50", "60"), tmp_path, TOKEN="x")
    assert "source changed as well" in difference(before, aligned(before, other))
