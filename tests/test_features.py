"""Features of models: the same in training and monitoring, whatever the blocks; recipes that transfer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import GridtopError
from gridtop.learning.features import NO_LOG, Feature, FeatureStream, bind, fill, wanted
from gridtop.learning.recipes import choose
from gridtop.site import UNDESCRIBED, Site
from tests.phasor_blocks import relay_channels, site
from tests.streams import block_of, channel_set, times


def whole_site(features: list[Feature], channels: ChannelSet, **options: bool) -> FeatureStream:
    binding = bind(features, "site", channels, UNDESCRIBED, **options)
    assert not binding.missing
    return FeatureStream(features, binding.places, channels.rate)


def test_value_change_and_range_are_what_they_say() -> None:
    channels = channel_set("a")
    stream = whole_site(
        [
            Feature(channel="a"),
            Feature(channel="a", statistic="change", window=0.2),
            Feature(channel="a", statistic="range", window=0.2),
        ],
        channels,
    )
    found = stream(block_of([[1.0], [4.0], [2.0], [2.0], [9.0]], channels))[0]
    assert found[:, 0].tolist() == [1, 4, 2, 2, 9]
    assert np.isnan(found[:2, 1]).all()
    assert found[2:, 1].tolist() == [1, -2, 7]
    assert found[:, 2].tolist() == [0, 3, 3, 2, 7]


@settings(max_examples=40)
@given(st.data())
def test_features_do_not_depend_on_how_the_stream_is_cut(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    channels = ChannelSet(
        (
            Channel("a", "voltage", "V"),
            Channel("b", "voltage", "deg", part="angle"),
            Channel("c", "current", "deg", part="angle"),
            Channel("z", "impedance", "ohm"),
        ),
        10.0,
    )
    values = rng.normal(size=(60, 4)) * 100
    values[rng.random(values.shape) < 0.1] = np.nan
    features = [
        Feature(channel="a", statistic="range", window=1.3),
        Feature(channel="a", statistic="change", window=0.5),
        Feature(channel="c", unit="deg", relative_to="b"),
        Feature(channel="z", inverse=True, bound=0.5),
    ]
    whole = whole_site(features, channels)(block_of(values, channels))
    stream = whole_site(features, channels)
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=6)))
    pieces = [
        stream(block_of(values[a:b], channels, a))
        for a, b in zip([0, *cuts], [*cuts, 60], strict=True)
        if b > a
    ]
    assert np.array_equal(np.concatenate(pieces, axis=1), whole, equal_nan=True)


def test_angles_are_taken_round_the_circle_from_their_reference() -> None:
    channels = ChannelSet(
        (Channel("b", "voltage", "deg", part="angle"), Channel("c", "voltage", "deg", part="angle")), 10.0
    )
    stream = whole_site([Feature(channel="c", unit="deg", relative_to="b")], channels)
    assert stream(block_of([[179.0, -179.0], [-170.0, 170.0]], channels))[0, :, 0].tolist() == [2.0, -20.0]


def test_an_absolute_angle_is_refused_and_the_message_says_why() -> None:
    channels = ChannelSet((Channel("b", "voltage", "deg", part="angle"),), 10.0)
    feature = [Feature(channel="b")]
    with pytest.raises(GridtopError, match="absolute angle, which turns with the frequency"):
        bind(feature, "site", channels, UNDESCRIBED)
    assert bind(feature, "site", channels, UNDESCRIBED, absolute_angles=True).places


def test_the_admittance_of_an_open_line_is_nothing_and_of_a_short_circuit_bounded() -> None:
    channels = ChannelSet((Channel("z", "impedance", "ohm"),), 10.0)
    stream = whole_site([Feature(channel="z", inverse=True, bound=1.0)], channels)
    assert stream(block_of([[1e12], [0.1], [20.0]], channels))[0, :, 0].tolist() == [1e-12, 1.0, 0.05]


def test_doubtful_values_are_missing() -> None:
    channels = channel_set("a")
    quality = np.array([[0], [int(Quality.FLATLINE)], [int(Quality.UNSYNCHRONISED)]], dtype=np.uint16)
    block = Block(channels, times(3), np.ones((3, 1)), quality)
    found = whole_site([Feature(channel="a")], channels)(block)[0, :, 0]
    assert found[0] == 1
    assert np.isnan(found[1:]).all()


def test_a_log_that_is_not_there_is_told_as_unknown_and_several_as_the_largest() -> None:
    channels = channel_set("snort_log1", "snort_log2")
    features = [
        Feature(channel="any:snort_log*", optional=True),
        Feature(channel="any:control_panel_log*", optional=True),
    ]
    found = whole_site(features, channels)(block_of([[0, 1], [0, 0]], channels))[0]
    assert found.tolist() == [[1.0, NO_LOG], [0.0, NO_LOG]]


def test_a_line_is_seen_from_its_first_end_and_in_training_from_both() -> None:
    channels = channel_set("R1:voltage_pu.A", "R2:voltage_pu.A", "L1:line_open")
    described = Site.model_validate({"lines": {"L1": {"ends": ["R1", "R2"]}, "L2": {"ends": ["R3", "R4"]}}})
    features = [Feature(channel="near:voltage_pu.A"), Feature(channel="line:line_open")]
    binding = bind(features, "line", channels, described)
    assert [(place.name, place.near, place.columns) for place in binding.places] == [
        ("L1", "R1", ((0,), (2,)))
    ]
    assert binding.missing == ("L2: there is no R3:voltage_pu.A, L2:line_open",)
    both = bind(features, "line", channels, described, both_ways=True)
    assert [(place.near, place.columns) for place in both.places] == [
        ("R1", ((0,), (2,))),
        ("R2", ((1,), (2,))),
    ]


def test_rated_features_are_divided_by_what_the_line_may_carry() -> None:
    channels = channel_set("L1:differential_current")
    described = Site.model_validate({"lines": {"L1": {"ends": ["R1", "R2"], "rating": "800 A"}}})
    features = [Feature(channel="line:differential_current", rated=True)]
    binding = bind(features, "line", channels, described)
    stream = FeatureStream(features, binding.places, 10.0)
    assert stream(block_of([[400.0]], channels))[0, 0, 0] == 0.5
    unrated = Site.model_validate({"lines": {"L1": {"ends": ["R1", "R2"]}}})
    assert bind(features, "line", channels, unrated).missing == ("L1: there is no rated current of L1",)


def test_what_is_wanted_of_a_site_are_globs_of_any_place() -> None:
    features = [
        Feature(channel="near:voltage_pu.A"),
        Feature(channel="line:kvl_residual"),
        Feature(channel="system:frequency_spread"),
        Feature(channel="any:snort_log*"),
        Feature(channel="Feeder 1", relative_to="Feeder 2"),
    ]
    assert wanted(features) == (
        "*:voltage_pu.A", "*:kvl_residual", "system:frequency_spread", "snort_log*", "Feeder 1", "Feeder 2",
    )  # fmt: skip


def test_a_few_missing_features_are_filled_and_a_frame_that_lacks_many_has_no_score() -> None:
    rows = np.array([[1.0, np.nan, 3, 4, 5], [np.nan, np.nan, 3, 4, 5]])
    filled = fill(rows, np.arange(5.0))
    assert filled[0].tolist() == [1, 1, 3, 4, 5]
    assert np.isnan(filled[1]).all()


def test_the_transfer_recipe_takes_only_what_means_the_same_on_every_line() -> None:
    chosen = choose("transfer", relay_channels(), site())
    assert chosen.scope == "line"
    assert {feature.channel.partition(":")[0] for feature in chosen.features} == {"near", "far", "line"}
    assert "near:bus_mismatch" in {feature.channel for feature in chosen.features}
    assert all(0.5 <= feature.window <= 2 for feature in chosen.features if feature.statistic != "value")


def test_without_lines_the_transfer_recipe_takes_channels_relative_to_one_angle() -> None:
    channels = ChannelSet(
        (
            Channel("va", "voltage", "deg", part="angle"),
            Channel("ia", "current", "deg", part="angle"),
            Channel("i", "current", "A"),
            Channel("z", "impedance", "ohm"),
        ),
        4.0,
    )
    chosen = choose("transfer", channels, UNDESCRIBED)
    assert chosen.scope == "site"
    assert bind(chosen.features, "site", channels, UNDESCRIBED).places
    names = {feature.name for feature in chosen.features}
    assert {"ia less va", "1/z", "change over 1 s of i", "range over 1 s of i"} <= names
    assert "va" not in names


def test_the_raw_recipe_takes_every_column_and_warns() -> None:
    chosen = choose("raw", relay_channels(), site())
    assert len(chosen.features) == len(relay_channels())
    assert "does not transfer" in chosen.remarks[0]


def test_a_recipe_that_finds_no_channel_says_so() -> None:
    with pytest.raises(GridtopError, match="no channel of the recording matches Q"):
        choose("channels", channel_set("a"), UNDESCRIBED, ("Q*",))


def test_plain_columns_take_a_short_cut_to_the_same_numbers() -> None:
    channels = channel_set("a", "b", "c")
    values = np.random.default_rng(4).normal(size=(20, 3))
    quality = np.zeros((20, 3), dtype=np.uint16)
    quality[3, 2] = int(Quality.FLATLINE)
    block = Block(channels, times(20), values, quality)
    plain = [Feature(channel="c"), Feature(channel="a")]
    short = whole_site(plain, channels)(block)
    long = whole_site([*plain, Feature(channel="b", statistic="range", window=1)], channels)(block)
    assert np.array_equal(short, long[:, :, :2], equal_nan=True)
    assert np.isnan(short[0, 3, 0])
    every = whole_site([Feature(channel=name) for name in "abc"], channels)(block)
    assert np.array_equal(every[0, :, [2, 0]].T, short[0], equal_nan=True)
