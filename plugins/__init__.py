"""What ships with gridtop, offered through the same hooks that every other plugin uses."""

from gridtop.api import DetectorSpec, SinkSpec, SourceSpec, hookimpl


@hookimpl
def gridtop_sources() -> list[SourceSpec]:
    """Recordings, and a grid to practise on."""
    return [
        SourceSpec("replay", "gridtop.plugins.sources.replay:Replay", "plays a recording: CSV or Parquet"),
        SourceSpec("simulate", "gridtop.plugins.sources.simulate:Simulate", "a simulated grid of two lines"),
    ]


@hookimpl
def gridtop_detectors() -> list[DetectorSpec]:
    """Scores that need no training."""
    return [
        DetectorSpec(
            "zscore",
            "gridtop.plugins.detectors.zscore:ZScore",
            "how many standard deviations each channel is from its recent mean",
        )
    ]


@hookimpl
def gridtop_sinks() -> list[SinkSpec]:
    """Events as lines."""
    return [
        SinkSpec("console", "gridtop.plugins.sinks.console:Console", "writes events to stdout or stderr"),
        SinkSpec("jsonl", "gridtop.plugins.sinks.jsonl:JsonLines", "appends events to a file of JSON lines"),
    ]
