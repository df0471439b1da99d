"""The pipeline: from a block of measurements to events, through quantities, detectors and alarm rules.

It knows no source, no sink and no screen, and gives the same events however the stream is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from gridtop import limit_profiles
from gridtop.alarms import AlarmEngine, BoundRule, bind_scores
from gridtop.alarms.quantiles import WRITE, Quantile
from gridtop.alarms.rules import AlarmSettings
from gridtop.baseline import Baseline
from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import ActiveAlarm, Flood
from gridtop.config import Configuration
from gridtop.data_quality import DataQuality
from gridtop.detected import Detected, Failure
from gridtop.detection import Detection
from gridtop.errors import ConfigurationError
from gridtop.events import Event, event_id
from gridtop.orders import Order
from gridtop.quality import QualityChecks
from gridtop.quantities import Quantities
from gridtop.requested import Requested
from gridtop.short_circuits import ShortCircuits

MOST_REASONS = 5
"""Lines on why quantities cannot be had, in an error."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a block: the block with its quantities, the events in it, and the detectors' scores."""

    block: Block
    events: list[Event]
    detected: Detected


class Pipeline:
    """Judges the blocks of one stream, pass after pass.

    `channels` are those of the recording and the quantities that the configuration asks for. Raises
    ConfigurationError when a limit or a detector asks for channels that the stream does not have. With
    `before` it takes the place of that pipeline in its stream, and goes on with what did not change.
    """

    _baseline: Baseline | None
    _quantities: Quantities
    _context: Quantities
    _context_checks: QualityChecks
    _quality_checks: QualityChecks
    _detection: Detection
    _data_quality: DataQuality
    _short_circuits: ShortCircuits

    def __init__(
        self,
        configuration: Configuration,
        channels: ChannelSet,
        identity: str,
        live: bool,
        before: Pipeline | None = None,
    ) -> None:
        self._configuration = configuration
        self._identity = identity
        self._live = live
        self._measured = channels
        self._wants = sorted(set(_wanted(configuration)))
        same_quantities = before is not None and before._wants == self._wants
        if before is not None and same_quantities:
            self._baseline, self._quantities = before._baseline, before._quantities
            self._context, self._context_checks = before._context, before._context_checks
        else:
            self._baseline = _baseline(configuration)
            self._quantities = Quantities(channels, configuration.site, self._wants, self._baseline)
            self._context = self._quantities.afresh()
            self._context_checks = self._checks()
        self.channels = self._quantities.channels
        chosen = [
            detector
            for detector in configuration.detectors.values()
            if not configuration.borrowed or self.channels.select(detector.channels)
        ]
        self._detectors = {d.name: (d.target, d.config, d.channels) for d in chosen}
        if before is not None and same_quantities and before._detectors == self._detectors:
            self._detection = before._detection
        else:
            self._detection = Detection(
                self._detectors, self.channels, live, site=configuration.site, inputs=configuration.directory
            )
        # Later it could not be told apart from a failure at work.
        self._unbuilt = {status.name for status in self._detection.statuses() if status.state == "failed"}
        try:
            self._rules = self._bind()
        except BaseException:
            if before is None or self._detection is not before._detection:
                self._detection.close()
            raise
        self._active: tuple[ActiveAlarm, ...] = ()
        self._flood: Flood | None = None
        self._judging = asyncio.Lock()  # an operator may speak while a block is judged on its thread
        self._begin(before._pass if before is not None else 1)
        self._alarms = self._new_alarms(self._pass)
        if before is not None:
            self._data_quality, self._short_circuits = before._data_quality, before._short_circuits
            if same_quantities:
                self._quality_checks = before._quality_checks

    @property
    def active(self) -> tuple[ActiveAlarm, ...]:
        """The alarms that are not normal after the newest block, the worst first."""
        return self._active

    @property
    def flood(self) -> Flood | None:
        """The flood of alarms there is now, if any."""
        return self._flood

    def alarm_state(self) -> dict[str, Any]:
        """Everything about the alarms that later events depend on, for JSON."""
        return self._alarms.state()

    def remembered(self) -> dict[str, Any]:
        """What beside the alarms must not be told again, for JSON."""
        return {"unreadable": self._data_quality.told}

    def restore(
        self, state: Mapping[str, Any], remembered: Mapping[str, Any], pass_number: int
    ) -> list[Event]:
        """Go on with the alarms of an earlier run, in a pass; nothing has been judged yet.

        Returns the ends of alarms whose rules have changed since. GridtopError for a state that cannot be
        read: then there are no alarms.
        """
        self._begin(pass_number)
        unreadable = remembered.get("unreadable", ())
        self._data_quality.restore([name for name in unreadable if isinstance(name, str)])
        try:
            return self._alarms.restore(state)
        finally:
            self._alarms.pass_number = pass_number
            self._look()

    def changed_to(self, configuration: Configuration) -> tuple[Pipeline, list[Event]]:
        """The pipeline that goes on from here with other limits, detectors or alarm rules.

        Also the ends of alarms whose rules are gone or changed. GridtopError when the configuration does not
        fit the stream; then nothing has happened.
        """
        changed = Pipeline(configuration, self._measured, self._identity, self._live, self)
        try:
            events = changed._alarms.restore(self._alarms.state())
        except BaseException:
            changed.let_go_of(self)
            raise
        changed._look()
        return changed, events

    def let_go_of(self, successor: Pipeline) -> None:
        """End what the successor does not use."""
        if successor._detection is not self._detection:
            self._detection.close()

    @property
    def rules(self) -> tuple[BoundRule, ...]:
        """The alarm rules and the columns they look at."""
        return self._rules

    @property
    def data_quality(self) -> DataQuality:
        """The counts of bad cells of the present pass."""
        return self._data_quality

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each detector that does not work."""
        return tuple(
            f"detector {status.name} is {status.state}: {status.error}"
            for status in self._detection.statuses()
            if status.state != "ok"
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What of the limit profiles has nothing to watch in this stream, in a few lines."""
        return self._notices

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """What is to be known before one relies on a detector: its name, and one line."""
        return self._detection.remarks

    def requested(self) -> Requested:
        """What screens may ask for beyond `channels`."""
        return Requested(self._measured, self.channels, self._configuration.site, self._baseline)

    def extend(self, block: Block) -> Block:
        """The block with its quantities, unjudged: for frames that are only context.

        Its windows are its own: what a pass decides may not depend on what came before it.
        """
        return self._context.extend(self._context_checks.check(block))

    async def process(self, block: Block) -> Result:
        """Judge the next block of the pass; the loop is never blocked by the arithmetic."""
        extended = await asyncio.to_thread(self._checked_and_extended, block)
        detected = await self._detection.score(extended)
        async with self._judging:
            judged = await asyncio.to_thread(self._judge, extended, detected)
        judged = await self._explained(detected, judged)
        events = self._data_quality.process(block) + judged
        return Result(extended, sorted(events, key=lambda event: event.order), detected)

    async def warm_up(self, block: Block, begun: int) -> Result:
        """A block that an earlier run has judged: detectors and quantities learn what came before.

        The alarms are `restore`d, not learnt, and nothing is told again, except what is so anew: that a
        detector cannot be built, at the row where the pass has `begun`.
        """
        extended = await asyncio.to_thread(self._checked_and_extended, block)
        detected = await self._detection.score(extended)
        await asyncio.to_thread(self._short_circuits.process, extended)
        failures = [failure for failure in detected.failures if failure.detector in self._unbuilt]
        events = [self._failure(replace(block, row=begun), failure) for failure in failures]
        return Result(extended, events, detected)

    def begin_pass(self, number: int) -> list[Event]:
        """Start afresh: detectors, delays and counts forget; the open alarms' `reset` events are returned."""
        events = self._alarms.reset()
        self._alarms.pass_number = number
        self._look()
        self._detection.restart()
        self._quantities.restart()
        self._context.restart()
        self._context_checks = self._checks()
        self._begin(number)
        return events

    async def operate(self, order: Order) -> list[Event]:
        """Tell an alarm something; nothing happens when it is normal or told before."""
        async with self._judging:
            events = self._alarms.operate(order)
            self._look()
        return events

    def close(self) -> None:
        """End the detectors' threads."""
        self._detection.close()

    async def _explained(self, detected: Detected, events: list[Event]) -> list[Event]:
        """The events, those of detectors' alarms that begin or grow worse with what they rest on."""
        worse = [event for event in events if event.transition in ("raised", "escalated")]
        if not worse:
            return events
        columns = {(output.detector, output.subject.name): i for i, output in enumerate(detected.outputs)}
        raised = [
            (event, column)
            for event in sorted(worse, key=lambda event: event.order)
            if (column := columns.get((event.rule, event.channel))) is not None
        ]
        moments = [(event.row - detected.row, column) for event, column in raised]
        causes = await self._detection.causes(detected, moments)
        explained = {
            event.id: replace(event, cause=cause.contributions, cause_approximate=cause.approximate)
            for (event, _), cause in zip(raised, causes, strict=True)
        }
        async with self._judging:
            for event in explained.values():
                self._alarms.explained(event)
            self._look()
        return [explained.get(event.id, event) for event in events]

    def _checked_and_extended(self, block: Block) -> Block:
        return self._quantities.extend(self._quality_checks.check(block))

    def _checks(self) -> QualityChecks:
        return QualityChecks(self._measured, self._configuration.site, self._configuration.quality)

    def _begin(self, number: int) -> None:
        self._pass = number
        self._quality_checks = self._checks()
        self._data_quality = DataQuality(self._measured, self._identity, number)
        site = self._configuration.site
        self._short_circuits = ShortCircuits(self._measured, site, self._identity, number)

    def _new_alarms(self, number: int) -> AlarmEngine:
        scored = self._detection.extended(self.channels)
        return AlarmEngine(self._rules, scored, self._configuration.site, self._identity, number)

    def _look(self) -> None:
        """See what the alarms are like now."""
        self._active, self._flood = self._alarms.active(), self._alarms.flood()

    def _judge(self, block: Block, detected: Detected) -> list[Event]:
        events = [
            event for piece, notes in detected.pieces(block) for event in self._alarms.process(piece, notes)
        ]
        events += [self._failure(block, failure) for failure in detected.failures]
        events += self._short_circuits.process(block)
        self._look()
        return events

    def _failure(self, block: Block, failure: Failure) -> Event:
        return Event(
            id=event_id(self._identity, self._pass, failure.detector, failure.text, "noticed", block.row),
            kind="plugin",
            transition="noticed",
            severity="warning",
            rule=failure.detector,
            message=failure.text,
            row=block.row,
            time=block.time[0] if len(block) and self.channels.clock == "utc" else None,
            pass_number=self._pass,
        )

    def _bind(self) -> tuple[BoundRule, ...]:
        configuration = self._configuration
        scored = self._detection.extended(self.channels)
        try:
            fitted = limit_profiles.fit(configuration, self.channels, scored, self._quantities.missing)
        except ConfigurationError as error:
            reasons = _reasons(configuration, self.channels, self._quantities.missing)
            raise ConfigurationError("\n  ".join((str(error), *reasons))) from None
        self._notices = fitted.notices
        rules = list(fitted.rules)
        for detector in configuration.detectors.values():
            mine = [
                (len(self.channels) + column, output.subject)
                for column, output in enumerate(self._detection.outputs)
                if output.detector == detector.name
            ]
            if detector.alarm is not None and mine:
                columns, subjects = zip(*mine, strict=True)
                alarm = self._resolved(detector.name, detector.alarm)
                rules.append(bind_scores(detector.name, alarm, configuration.alarms, columns, subjects))
        return tuple(rules)

    def _resolved(self, detector: str, alarm: AlarmSettings) -> AlarmSettings:
        """A detector's rule with numbers where quantiles stood; ConfigurationError when it knows none."""
        found: dict[Quantile, float] = {}
        for path, quantile in alarm.quantiles():
            place = ".".join(("detectors", detector, "alarm", *path))
            try:
                found[quantile] = self._detection.quantile(detector, quantile.share)
            except ValueError as error:
                reason = str(error) or "it is not known"
                raise ConfigurationError(f"{place}: {quantile} cannot be had: {reason}; {WRITE}") from None
        try:
            return alarm.resolved(found)
        except ValueError as error:
            told = ", ".join(f"{quantile} is {score:g}" for quantile, score in found.items())
            raise ConfigurationError(f"detectors.{detector}.alarm: {told}; then {error}") from None


def _reasons(configuration: Configuration, channels: ChannelSet, missing: Sequence[str]) -> Iterator[str]:
    """The first lines of `missing` about quantities that rules of the user's own name in vain."""
    named: set[str] = set()
    for rule, settings in configuration.limits.items():
        origin = configuration.origins.get(rule)
        own = origin is None or not origin.leaves_out(settings)
        if own and settings.enabled and not channels.select(settings.patterns):
            # Behind the colon stands the quantity, and behind its dot the phase.
            named.update(pattern.rpartition(":")[2].partition(".")[0] for pattern in settings.patterns)
    lines = [line for line in missing if any(fnmatchcase(line.partition(" of ")[0], name) for name in named)]
    yield from lines[:MOST_REASONS]
    if len(lines) > MOST_REASONS:
        yield f"and {len(lines) - MOST_REASONS} more: gridtop inspect says what a recording holds"


def _baseline(configuration: Configuration) -> Baseline | None:
    """The commissioning baseline the configuration names; ConfigurationError when it cannot be read."""
    baselines = configuration.site.baselines
    return Baseline.read(configuration.directory / baselines.from_) if baselines else None


def _wanted(configuration: Configuration) -> list[str]:
    """The globs of everything that rules and detectors look at, the quantities of gates included."""
    wanted: list[str] = []
    for limit in configuration.limits.values():
        if not limit.enabled:
            continue
        gates = [rule.gate.on for rule in (limit, *limit.overrides.values()) if rule.gate is not None]
        wanted += [*limit.patterns, *(f"*:{gate}" for gate in gates)]
    for detector in configuration.detectors.values():
        wanted += detector.channels
    return wanted
