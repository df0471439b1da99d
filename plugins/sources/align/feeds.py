"""Takes in the blocks of a live source as they come, and notes when they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

from gridtop.api import Block, Source, SourceError

MOST_FRAMES = 8192
MOST_BYTES = 1 << 25
"""What waits of one source at most, but always a few frames; beyond that the oldest are dropped."""
FEWEST_FRAMES = 256
_CELL_BYTES = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """A block that came at `now` of the event loop's clock, `wall` nanoseconds after 1970."""

    block: Block
    now: float
    wall: int


class Feed:
    """A task that asks a source for its blocks; whoever takes them late finds the newest."""

    def __init__(self, name: str, source: Source, wall: Callable[[], int]) -> None:
        self._source, self._wall = source, wall
        self._waiting: deque[Arrival] = deque()
        self._frames = 0
        self._changed = asyncio.Event()
        self.dropped = 0
        """Frames thrown away because nobody took them in time."""
        self.done = False
        self.failure: str = ""
        self._task = asyncio.create_task(self._work(), name=f"align {name}")

    def take(self) -> list[Arrival]:
        """What has come since the last time."""
        taken, self._frames = list(self._waiting), 0
        self._waiting.clear()
        return taken

    def seen(self) -> list[Block]:
        """What has come and is not taken yet."""
        return [arrival.block for arrival in self._waiting]

    async def more(self) -> None:
        """Wait until something comes, or nothing will."""
        self._changed.clear()
        if not self.done:
            await self._changed.wait()

    async def stop(self) -> None:
        """Ask for no more blocks."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _work(self) -> None:
        blocks = self._source.blocks(0)
        try:
            async for block in blocks:
                self._keep(block)
                # A source that never waits must not keep the others waiting.
                await asyncio.sleep(0)
        except SourceError as error:
            self.failure = str(error)
        except Exception as error:  # whatever a plugin raises ends this source and no other
            self.failure = f"reading failed: {error!r}"
        finally:
            self.done = True
            self._changed.set()
            await close_stream(blocks)

    def _keep(self, block: Block) -> None:
        if not len(block):
            return
        self._waiting.append(Arrival(block, asyncio.get_running_loop().time(), self._wall()))
        self._frames += len(block)
        most = min(MOST_FRAMES, MOST_BYTES // (_CELL_BYTES * max(1, len(block.channels))))
        while self._frames > max(most, FEWEST_FRAMES) and len(self._waiting) > 1:
            gone = len(self._waiting.popleft().block)
            self._frames -= gone
            self.dropped += gone
        self._changed.set()


async def close_stream(blocks: AsyncIterator[Block]) -> None:
    """End a stream of blocks, if it is one that can be ended."""
    close = getattr(blocks, "aclose", None)
    if close is not None:
        with suppress(Exception):
            await close()
