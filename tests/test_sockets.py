"""Where engines listen, and who may."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtop import sockets
from gridtop.errors import GridtopError
from gridtop.sockets import Listening
from tests.serving import short_folder


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_folder_is_in_the_runtime_directory_or_in_the_temporary_one(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sockets.folder() == runtime / "gridtop"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "nowhere"))
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    assert sockets.folder() == runtime / f"gridtop-{os.geteuid()}"


def test_only_the_user_may_enter_and_connect_whatever_the_umask(runtime: Path) -> None:
    before = os.umask(0)
    try:
        listening = Listening(sockets.fresh())
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert mode(runtime / "gridtop") == 0o700
    assert mode(listening.path) == 0o600
    assert listening.path.name == f"{os.getpid()}.sock"
    listening.close()
    assert not listening.path.exists()


def test_a_folder_that_others_could_reach_into_is_refused_in_words(runtime: Path) -> None:
    (runtime / "gridtop").mkdir()
    (runtime / "gridtop").chmod(0o777)
    with pytest.raises(GridtopError, match=r"open to other users; close it with chmod 700"):
        sockets.fresh()
    (runtime / "gridtop").rmdir()
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / "gridtop").symlink_to(runtime / "elsewhere")
    with pytest.raises(GridtopError, match="is not a folder"):
        sockets.fresh()


def test_a_folder_or_socket_of_someone_else_is_refused(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = Listening(sockets.fresh())
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(GridtopError, match="belongs to another user"):
        sockets.prepared_folder()
    with pytest.raises(GridtopError, match="not a socket of yours"):
        Listening(listening.path)
    if listening.path.stat().st_uid != 0:
        with pytest.raises(PermissionError, match="belongs to another user"):
            sockets.connected(listening.path, 1.0)
    listening.close()


def test_a_socket_that_a_dead_engine_left_is_taken_over(runtime: Path) -> None:
    path = sockets.resolved("lab")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert not sockets.answers(path)
    listening = Listening(path)
    assert sockets.answers(path)
    listening.close()


def test_a_living_engine_is_not_disturbed(runtime: Path) -> None:
    listening = Listening(sockets.resolved("lab"))
    with pytest.raises(GridtopError, match=r"an engine runs at .*lab\.sock already"):
        Listening(listening.path)
    assert sockets.answers(listening.path)
    listening.close()


def test_a_file_in_the_way_is_never_removed(runtime: Path) -> None:
    path = sockets.resolved("lab")
    path.write_text("precious")
    with pytest.raises(GridtopError, match="not a socket of yours"):
        Listening(path)
    assert path.read_text() == "precious"
    link = path.with_name("link.sock")
    link.symlink_to(path)
    with pytest.raises(GridtopError, match="not a socket of yours"):
        Listening(link)


def test_closing_leaves_the_socket_of_a_successor_alone(runtime: Path) -> None:
    first = Listening(sockets.resolved("lab"))
    first.path.rename(first.path.with_name("moved"))
    second = Listening(first.path)
    first.close()
    assert sockets.answers(second.path)
    second.close()


def test_engines_run_side_by_side_and_are_listed_without_the_dead(runtime: Path) -> None:
    assert sockets.running() == []
    first = Listening(sockets.fresh())
    second = Listening(sockets.fresh())
    third = Listening(sockets.resolved("lab"))
    assert len({first.path, second.path, third.path}) == 3
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(runtime / "gridtop" / "dead.sock"))
    assert set(sockets.running()) == {first.path, second.path, third.path}
    assert (runtime / "gridtop" / "dead.sock").exists()
    for listening in (first, second, third):
        listening.close()
    assert sockets.running() == []
    sockets.fresh()
    assert list((runtime / "gridtop").iterdir()) == []


def test_a_path_too_long_for_a_socket_is_refused_before_it_is_cut(runtime: Path) -> None:
    with pytest.raises(GridtopError, match="too long for a socket"):
        sockets.resolved("x" * 100)
    with pytest.raises(GridtopError, match="too long for a socket"):
        sockets.resolved(f"/tmp/{'ü' * 50}")


def test_a_missing_folder_is_said(runtime: Path) -> None:
    with pytest.raises(GridtopError, match=r"cannot listen at .*: No such file or directory"):
        Listening(runtime / "nowhere" / "a.sock")


def test_the_peer_is_this_user(runtime: Path) -> None:
    near, far = socket.socketpair()
    assert sockets.peer_is_trusted(near)
    near.close()
    far.close()
