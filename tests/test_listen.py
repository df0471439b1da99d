"""`gridtop run --listen`: the API over TCP with a token made for the run, as a script on the host uses it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridtop.errors import Exit
from tests.players import story
from tests.serving import short_folder


@dataclass
class Engine:
    """A running engine, where it says that it listens, and where it says that its token is."""

    process: subprocess.Popen[str]
    url: str
    token: Path | None

    def ask(self, path: str, *headers: tuple[str, str], body: object = None) -> tuple[int, object]:
        """Status and JSON of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        for header in headers:
            request.add_header(*header)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "e.sock"


def command(folder: Path, place: Path, *arguments: str) -> list[str]:
    config = story(folder)
    return [
        *(sys.executable, "-m", "gridtop", "run", "-c", str(config), "--quiet"),
        *("--stay", "--socket", str(place), *arguments),
    ]


@contextlib.contextmanager
def engine(folder: Path, place: Path, *arguments: str) -> Iterator[Engine]:
    with subprocess.Popen(
        command(folder, place, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            url, token = "", None
            assert process.stderr is not None
            while not url:
                line = process.stderr.readline()
                assert line, "it ended before it listened"
                if found := re.search(r"token .* is in (\S+) until", line):
                    token = Path(found[1])
                if found := re.search(r"the API listens at (http://127\.0\.0\.1:\d+)$", line):
                    url = found[1]
            yield Engine(process, url, token)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def test_the_token_is_in_a_file_of_the_user_alone_and_opens_the_api(tmp_path: Path, place: Path) -> None:
    with engine(tmp_path, place, "--listen", "127.0.0.1:0") as running:
        assert running.token == place.with_suffix(".token")
        assert running.token.stat().st_mode & 0o777 == 0o600
        token = running.token.read_text()
        assert len(token) >= 32
        status, refusal = running.ask("/v1/snapshot")
        assert status == 401
        assert token not in json.dumps(refusal)
        assert running.ask("/v1/snapshot", ("Authorization", "Bearer nonsense-nonsense-nonsense"))[0] == 401
        bearer = ("Authorization", f"Bearer {token}")
        status, snapshot = running.ask("/v1/snapshot", bearer)
        assert status == 200
        assert isinstance(snapshot, dict)
        assert snapshot["transport"]["state"] in ("playing", "ended")
        alert = {"type": "door", "count": 1, "message": "open"}
        assert running.ask("/alert", bearer, body=alert)[0] == 200
        assert running.ask("/healthz") == (200, {"status": "ok"})
    assert running.process.returncode == 0
    assert not running.token.exists()
    assert not place.exists()


def test_each_run_has_a_token_of_its_own_also_after_a_kill(tmp_path: Path, place: Path) -> None:
    tokens = []
    for _ in range(2):
        with engine(tmp_path, place, "--listen", "127.0.0.1:0") as running:
            assert running.token is not None
            tokens.append(running.token.read_text())
            running.process.kill()
    assert len(set(tokens)) == 2


def test_without_authentication_there_is_no_token(tmp_path: Path, place: Path) -> None:
    with engine(tmp_path, place, "--listen", "127.0.0.1:0", "--set", "api.auth=none") as running:
        assert running.token is None
        assert running.ask("/v1/snapshot")[0] == 200
        assert [path.name for path in place.parent.iterdir()] == ["e.sock"]


def test_a_token_of_ones_own_is_used_and_written_nowhere(tmp_path: Path, place: Path) -> None:
    own = "0123456789abcdef-of-my-own"
    with engine(tmp_path, place, "--listen", "127.0.0.1:0", "--set", f"api.token={own}") as running:
        assert running.token is None
        assert running.ask("/v1/snapshot", ("Authorization", f"Bearer {own}"))[0] == 200
        assert running.ask("/v1/snapshot")[0] == 401


def ended(folder: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, place, *arguments), capture_output=True, text=True, timeout=60, check=False
    )


def test_an_address_that_is_taken_ends_the_run_in_one_line(tmp_path: Path, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = ended(tmp_path, place, "--listen", address, "--set", "api.auth=none")
    assert done.returncode == Exit.USAGE
    assert done.stderr == f"gridtop: cannot listen at {address}: Address already in use\n"
    assert not place.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--listen", "0.0.0.0:0"], Exit.CONFIGURATION, "a token is missing"),
        (["--listen", "nonsense"], Exit.CONFIGURATION, "listen"),
        (["--listen", "127.0.0.1:0", "--no-serve"], Exit.USAGE, "--no-serve"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_opened(
    arguments: list[str], code: Exit, said: str, tmp_path: Path, place: Path
) -> None:
    done = ended(tmp_path, place, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(place.parent.iterdir())


def test_a_token_file_never_takes_the_place_of_the_socket(tmp_path: Path, place: Path) -> None:
    done = ended(tmp_path, place.with_suffix(".token"), "--listen", "127.0.0.1:0")
    assert done.returncode == Exit.USAGE
    assert "another name" in done.stderr
