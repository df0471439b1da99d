"""What the screen costs: first frame, processor time, memory, bytes, key to paint, a terminal that stalls.

    python benchmarks/terminal.py [seconds]

Runs the shipped configuration at 4 repaints a second in a pseudo-terminal at two sizes, with true colour
and as over SSH, beside btop when that is installed. Linux only.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.pseudo_terminal import PseudoTerminal, children, peak_mebibytes, processor_seconds
from gridtop.remote import RemoteClient

SIZES = ((80, 24), (160, 48))
PROFILES: dict[str, dict[str, str]] = {
    "default": {},
    "over SSH": {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22", "COLORTERM": ""},
}
GRIDTOP = (sys.executable, "-m", "gridtop")
ROOT = Path(__file__).parent.parent
KEYS = 60
STALL = 10.0


def main() -> None:
    """Measure everything and print it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    titles = ("first frame", "CPU screen", "CPU engine", "screen", "engine", "output")
    print(" " * 22 + "".join(f"{title:>12}" for title in titles))
    for columns, rows in SIZES:
        for name, environment in PROFILES.items():
            _row(f"{columns}x{rows} {name}", GRIDTOP, "VOLTAGE", columns, rows, environment, seconds)
        if btop := shutil.which("btop"):
            _row(f"{columns}x{rows} btop", (btop,), "cpu", columns, rows, {}, seconds)
    _key_to_paint()
    asyncio.run(_stall())


def _row(
    label: str,
    command: Sequence[str],
    marker: str,
    columns: int,
    rows: int,
    environment: Mapping[str, str],
    seconds: float,
) -> None:
    terminal = PseudoTerminal(command, columns, rows, environment, ROOT)
    try:
        first = terminal.wait_for(marker)
        time.sleep(4)
        engines = children(terminal.pid)
        processes = [terminal.pid, *engines]
        before, received = [processor_seconds(pid) for pid in processes], terminal.received
        time.sleep(seconds)
        used = [100 * (processor_seconds(p) - b) / seconds for p, b in zip(processes, before, strict=True)]
        output = (terminal.received - received) / seconds / 1000
        memory = [peak_mebibytes(pid) for pid in processes]
        cells = [f"{first:.2f} s", f"{used[0]:.1f} %", f"{used[1]:.1f} %" if engines else ""]
        cells += [f"{memory[0]:.0f} MiB", f"{memory[1]:.0f} MiB" if engines else "", f"{output:.1f} KB/s"]
        print(f"{label:22}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
    finally:
        terminal.close()


def _key_to_paint() -> None:
    """From a key that selects a panel to the first byte of the picture that shows it."""
    terminal = PseudoTerminal(GRIDTOP, 80, 24, {}, ROOT)
    try:
        terminal.wait_for("VOLTAGE")
        time.sleep(3)
        terminal.press(" ")  # paused, nothing else is painted
        time.sleep(1)
        delays = []
        for i in range(KEYS):
            count, pressed = len(terminal.chunks), time.perf_counter()
            terminal.press(str(1 + (i + 1) % 4))
            while len(terminal.chunks) == count and time.perf_counter() - pressed < 1:
                time.sleep(0.0005)
            delays.append(1000 * (terminal.chunks[count][0] - pressed))
            time.sleep(0.1)
        quantiles = statistics.quantiles(delays, n=20)
        print(f"key to paint           p50 {statistics.median(delays):.0f} ms, p95 {quantiles[18]:.0f} ms")
    finally:
        terminal.close()


async def _stall() -> None:
    """A terminal that reads nothing for ten seconds: does the engine go on, how soon is the picture back?"""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"XDG_RUNTIME_DIR": folder}
        terminal = PseudoTerminal((*GRIDTOP, "--speed", "20"), 80, 24, environment, ROOT)
        try:
            terminal.wait_for("VOLTAGE")
            time.sleep(3)
            (socket,) = Path(folder).rglob("*.sock")
            client = RemoteClient(socket)
            await client.hello()
            terminal.reading.clear()
            before = (await client.snapshot()).counts.frames
            await asyncio.sleep(STALL)
            after = (await client.snapshot()).counts.frames
            count = len(terminal.chunks)
            resumed = time.perf_counter()
            terminal.reading.set()
            while len(terminal.chunks) == count:
                time.sleep(0.001)
            back = 1000 * (terminal.chunks[count][0] - resumed)
            await client.close()
            share = (after - before) / (STALL * 20 * 30)
            print(
                f"terminal stalls 10 s   engine at {share:.2f} of its speed, picture back after {back:.0f} ms"
            )
        finally:
            terminal.close()


if __name__ == "__main__":
    main()
