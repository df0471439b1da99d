"""The screen with moving synthetic data, to look at it: python tests/tui/demo.py [--ascii]."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fake_client import RATE, FakeClient, busy_client, event, frequency_alarm, sag_alarm

from gridtop.client import Snapshot
from gridtop.tui import glyphs, theme
from gridtop.tui.app import GridtopApp


class Moving(FakeClient):
    """Time passes, and every minute there is a sag at R3."""

    started = 0.0

    async def snapshot(self) -> Snapshot:
        now = time.monotonic()
        self.started = self.started or now
        if self.state == "playing":
            before = self.row
            self.advance(int((now - self.started) * RATE * self.factor))
            self.started = now if self.row > before else self.started
            for row in range(before + 1, self.row + 1):
                self._play(row)
        else:
            self.started = now
        return await super().snapshot()

    def _play(self, row: int) -> None:
        frame = row % 1800
        if frame == 1113:
            self.alarms = (*self.alarms, sag_alarm(row=row))
            self.happened(event(row, message="R3 A voltage 0.673 pu below 0.9 pu (critical)"))
        elif frame == 1150:
            self.alarms = (frequency_alarm(row=row), *(a for a in self.alarms if a.rule != "voltage"))
            self.happened(
                event(
                    row,
                    "cleared",
                    message="R3 A voltage cleared at 0.991 pu after 1.2 s, worst 0.671 pu",
                )
            )
        elif frame == 1300:
            self.alarms = tuple(a for a in self.alarms if a.rule != "frequency")
        elif frame % 150 == 0:
            self.happened(
                event(row, "noticed", "info", "load step of 3 MW at B2", rule="operator", channel="")
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--theme", default=theme.suited(os.environ))
    parser.add_argument("--idle", action="store_true", help="begin paused")
    parser.add_argument("--speed", type=float, default=1.0)
    options = parser.parse_args()
    busy = busy_client()
    client = Moving(factor=options.speed, reached=options.speed, counts=busy.counts, log=busy.log)
    client.state = "paused" if options.idle else "playing"
    GridtopApp(client, theme=options.theme, glyphs=glyphs.ASCII if options.ascii else glyphs.UNICODE).run(
        mouse=False
    )


if __name__ == "__main__":
    main()
