"""Opens several sources at once, and finds out how many frames a second they have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import numpy as np

from gridtop.api import Block, ChannelSet, Source, SourceError

from .feeds import Feed, close_stream

ENOUGH = 32
"""Frames that show the rate of a source that does not say it."""
_PATIENCE = 10.0
"""Seconds to wait for them."""


async def open_all(
    sources: Mapping[str, Source], leave_out: bool
) -> tuple[dict[str, ChannelSet], dict[str, str]]:
    """The channels of each source, in their order, and why those that are left out cannot be opened.

    Without `leave_out`, and when none opens, SourceError names those that cannot; then all are closed.
    """
    tasks = {
        name: asyncio.create_task(_open(source), name=f"open {name}") for name, source in sources.items()
    }
    try:
        when = asyncio.ALL_COMPLETED if leave_out else asyncio.FIRST_EXCEPTION
        await asyncio.wait(tasks.values(), return_when=when)
        failed = {name: _failure(task) for name, task in tasks.items() if task.done() and task.exception()}
        if failed and (not leave_out or len(failed) == len(tasks)):
            raise SourceError("; ".join(f"{name}: {why}" for name, why in failed.items()))
    except BaseException:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await _close(sources.values())
        raise
    await _close(sources[name] for name in failed)
    return {name: task.result() for name, task in tasks.items() if name not in failed}, failed


async def rate_of(name: str, source: Source | Feed) -> float:
    """Frames per second, by the times of the first frames; SourceError when they do not show it.

    A feed keeps what it has brought; of a recording the beginning is read.
    """
    from gridtop.plugins.sources.lines.ordering import nominal_rate

    blocks: list[Block] = []
    if isinstance(source, Feed):
        try:
            async with asyncio.timeout(_PATIENCE):
                while sum(map(len, source.seen())) < ENOUGH and not source.done:
                    await source.more()
        except TimeoutError:
            pass
        blocks = source.seen()
    else:
        stream = source.blocks(0)
        try:
            async for block in stream:
                blocks.append(block)
                if sum(map(len, blocks)) >= ENOUGH:
                    break
        finally:
            await close_stream(stream)
    times = [block.time for block in blocks]
    rate = nominal_rate(np.concatenate(times)[:ENOUGH]) if times else None
    if rate is None:
        why = f": {source.failure}" if isinstance(source, Feed) and source.failure else ""
        raise SourceError(f"{name}: its first frames do not show how many a second it has{why}")
    return rate


async def _open(source: Source) -> ChannelSet:
    try:
        return await source.open()
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"it cannot be opened: {error!r}") from error


async def _close(sources: Iterable[Source]) -> None:
    await asyncio.gather(*(source.close() for source in sources), return_exceptions=True)


def _failure(task: asyncio.Task[ChannelSet]) -> str:
    return str(task.exception())
