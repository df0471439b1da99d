"""What ships with gridtop, offered through the same hooks that every other plugin uses."""

from gridtop.api import DetectorSpec, SinkSpec, SourceSpec, hookimpl


@hookimpl
def gridtop_sources() -> list[SourceSpec]:
    """Recordings, a grid to practise on, and what measures now."""
    return [
        SourceSpec(
            "align", "gridtop.plugins.sources.align:Align", "joins several sources by measurement time"
        ),
        SourceSpec(
            "c37118", "gridtop.plugins.sources.c37118:C37118", "a PMU or concentrator over IEEE C37.118"
        ),
        SourceSpec(
            "c37118_capture",
            "gridtop.plugins.sources.c37118:Capture",
            "plays what `gridtop probe --capture` has kept",
        ),
        SourceSpec(
            "lines",
            "gridtop.plugins.sources.lines:Lines",
            "CSV or JSON lines as they come: from standard input, or a file that grows",
        ),
        SourceSpec("mqtt", "gridtop.plugins.sources.mqtt:Mqtt", "readings of sensors from an MQTT broker"),
        SourceSpec("replay", "gridtop.plugins.sources.replay:Replay", "plays a recording: CSV or Parquet"),
        SourceSpec("simulate", "gridtop.plugins.sources.simulate:Simulate", "a simulated grid of two lines"),
        SourceSpec(
            "tcp", "gridtop.plugins.sources.lines:Tcp", "CSV or JSON lines that come over a TCP connection"
        ),
    ]


@hookimpl
def gridtop_detectors() -> list[DetectorSpec]:
    """Scores that need no training, and those of models that were trained."""
    return [
        DetectorSpec(
            "autoencoder",
            "gridtop.plugins.detectors.models:Autoencoder",
            "a trained network that knows what is ordinary, and so what is not",
        ),
        DetectorSpec(
            "data_quality",
            "gridtop.plugins.detectors.data_quality:DataQuality",
            "what is wrong with each device's data: missing, doubtful, stuck, unsynchronised; and with time",
        ),
        DetectorSpec(
            "command_plausibility",
            "gridtop.plugins.detectors.command_plausibility:CommandPlausibility",
            "breakers that open without a fault before it and without an operator",
        ),
        DetectorSpec(
            "drift",
            "gridtop.plugins.detectors.drift:Drift",
            "what drifts away from what it was, and when it reaches its threshold",
        ),
        DetectorSpec(
            "frequency_excursion",
            "gridtop.plugins.detectors.frequency_excursion:FrequencyExcursion",
            "falls and rises of the frequency that tell of lost generation or load",
        ),
        DetectorSpec(
            "isolation_forest",
            "gridtop.plugins.detectors.models:IsolationForest",
            "a trained forest that tells how easily a frame stands apart from ordinary ones",
        ),
        DetectorSpec(
            "physics",
            "gridtop.plugins.detectors.physics:Physics",
            "readings that no state of the grid explains, and the terminal they come from",
        ),
        DetectorSpec(
            "random_forest",
            "gridtop.plugins.detectors.models:RandomForest",
            "a trained forest that tells what happens at each line: how likely it is which class",
        ),
        # No `needs`: their own check of the configuration names the extra of gridtop that brings the library.
        DetectorSpec(
            "pyod",
            "gridtop.plugins.detectors.estimators:Pyod",
            "any detector of PyOD, named in one line: pyod.models.knn.KNN(n_neighbors=5)",
        ),
        DetectorSpec(
            "river",
            "gridtop.plugins.detectors.estimators:River",
            "any anomaly detector of river, named in one line: river.anomaly.HalfSpaceTrees()",
        ),
        DetectorSpec(
            "sklearn",
            "gridtop.plugins.detectors.estimators:Sklearn",
            "any outlier detector of scikit-learn, named in one line: sklearn.svm.OneClassSVM(nu=0.01)",
        ),
        DetectorSpec(
            "zscore",
            "gridtop.plugins.detectors.zscore:ZScore",
            "how many standard deviations each channel is from its recent mean",
        ),
    ]


@hookimpl
def gridtop_sinks() -> list[SinkSpec]:
    """Where events go: lines, messages to programs, messages to people."""
    # No `needs`, as above: the configuration's own check names the extra that brings the library.
    return [
        SinkSpec(
            "apprise",
            "gridtop.plugins.sinks.apprise:Apprise",
            "notifies people through chat, push and pager services",
        ),
        SinkSpec("console", "gridtop.plugins.sinks.console:Console", "writes events to stdout or stderr"),
        SinkSpec("email", "gridtop.plugins.sinks.email:Email", "sends events by mail, several in one"),
        SinkSpec("jsonl", "gridtop.plugins.sinks.jsonl:JsonLines", "appends events to a file of JSON lines"),
        SinkSpec("mqtt", "gridtop.plugins.sinks.mqtt:Mqtt", "publishes events to an MQTT broker"),
        SinkSpec("syslog", "gridtop.plugins.sinks.syslog:Syslog", "sends events to syslog (RFC 5424)"),
        SinkSpec("webhook", "gridtop.plugins.sinks.webhook:Webhook", "posts each event to a URL, signed"),
    ]
