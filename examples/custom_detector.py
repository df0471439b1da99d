"""How far each channel jumps from one frame to the next, in its own unit."""

import numpy as np

from gridtop.api import Block, ChannelSet, Scores, Settings

NAME = "jump"


class Jump:
    """How far each channel jumps from one frame to the next, in its own unit."""

    def __init__(self, config: Settings, channels: ChannelSet) -> None:
        self.outputs = channels.names
        self.last = np.full((1, len(channels)), np.nan)

    def score(self, block: Block) -> Scores:
        """The first frame of all has nothing before it: NaN, no opinion."""
        values = np.vstack([self.last, block.values])
        self.last = values[-1:]
        return Scores(np.abs(np.diff(values, axis=0)))
