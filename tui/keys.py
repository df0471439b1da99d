"""Every key binding of the app, and how footer and help tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType
from textual.keys import _character_to_key

from .glyphs import Glyphs

if TYPE_CHECKING:
    from gridtop.screen_settings import KeyId  # brings pydantic, which is heavy


def _key(key: str, action: str, words: str, tells: str, id: KeyId, show: bool = False) -> Binding:
    return Binding(key, action, words, show=show, tooltip=tells, id=id)


GENERAL: list[BindingType] = [
    _key("q", "app.quit", "Quit", "leave", "quit", show=True),
    _key("question_mark", "app.help", "Help", "this page", "help", show=True),
    _key("t", "app.next_theme", "Theme", "other colours", "theme"),
    _key("w", "app.picture", "Picture", "save this picture (SVG)", "picture"),
    _key("R", "app.restart", "Restart", "restart a dead engine", "restart"),
]
ALARMS: list[BindingType] = [
    _key("a", "app.acknowledge", "Ack", "acknowledge the alarm", "acknowledge", show=True),
    _key("i", "app.alarms", "Alarms", "all alarms, to act on", "alarms", show=True),
    _key("A", "app.acknowledge_all", "Ack all", "acknowledge all on view", "acknowledge-all"),
]
DEVICES: list[BindingType] = [
    _key("d", "app.devices", "Devices", "devices: how data come", "devices", show=True),
]
ORDERS: list[BindingType] = [
    _key("a", "app.acknowledge", "Ack", "acknowledge the alarm", "acknowledge", show=True),
    _key("s", "app.shelve", "Shelve", "shelve it for a while", "shelve", show=True),
    _key("S", "app.unshelve", "Shelve", "take it from the shelf", "unshelve", show=True),
    _key("L", "app.unlatch", "Unlatch", "let go of a latched one", "unlatch", show=True),
    _key("o", "app.service", "Service", "out of service, or back", "out-of-service", show=True),
]
CARD: list[BindingType] = [
    _key("up,k", "move(-1)", "Scroll", "up, or down", "alarm-up"),
    _key("down,j", "move(1)", "Scroll", "up, or down", "alarm-down"),
    _key("pageup", "page(-1)", "Scroll", "a page up, or down", "alarm-page-up"),
    _key("pagedown", "page(1)", "Scroll", "a page up, or down", "alarm-page-down"),
    _key("enter", "app.back", "Back", "back to the list", "alarm-card"),
]
ALARM_LIST: list[BindingType] = [
    _key("enter", "card", "Card", "the alarm in full", "alarm-card", show=True),
    _key("plus", "unfold", "Fold", "show those behind it", "unfold", show=True),
    _key("minus", "fold", "Fold", "show those behind it", "fold", show=True),
    _key("up,k", "move(-1)", "Choose", "the alarm above", "alarm-up"),
    _key("down,j", "move(1)", "Choose", "the alarm below", "alarm-down"),
    _key("pageup", "page(-1)", "Choose", "a page up, or down", "alarm-page-up"),
    _key("pagedown", "page(1)", "Choose", "a page up, or down", "alarm-page-down"),
    _key("home", "end(-1)", "Choose", "the first, or the last", "alarm-first"),
    _key("end", "end(1)", "Choose", "the first, or the last", "alarm-last"),
    _key("A", "app.acknowledge_all", "Ack all", "acknowledge all on view", "acknowledge-all"),
    _key("i", "app.back", "Back", "back to the panels", "alarms"),
]
DEVICE_LIST: list[BindingType] = [
    _key("enter", "card", "Card", "all figures of the device", "device-card", show=True),
    _key("up,k", "move(-1)", "Choose", "the device above", "alarm-up"),
    _key("down,j", "move(1)", "Choose", "the device below", "alarm-down"),
    _key("pageup", "page(-1)", "Choose", "a page up, or down", "alarm-page-up"),
    _key("pagedown", "page(1)", "Choose", "a page up, or down", "alarm-page-down"),
    _key("home", "end(-1)", "Choose", "the stream, or the last", "alarm-first"),
    _key("end", "end(1)", "Choose", "the stream, or the last", "alarm-last"),
    _key("d", "app.back", "Back", "back to the panels", "devices"),
]
DEVICE_CARD: list[BindingType] = [
    _key("up,k", "move(-1)", "Scroll", "up, or down", "alarm-up"),
    _key("down,j", "move(1)", "Scroll", "up, or down", "alarm-down"),
    _key("pageup", "page(-1)", "Scroll", "a page up, or down", "alarm-page-up"),
    _key("pagedown", "page(1)", "Scroll", "a page up, or down", "alarm-page-down"),
    _key("enter", "app.back", "Back", "back to the list", "device-card"),
]
TRANSPORT: list[BindingType] = [
    _key("space", "app.pause", "Pause", "pause, or resume", "pause", show=True),
    _key("r", "app.record", "Record", "record live data, or end", "record", show=True),
    _key("comma", "app.step(-1)", "Step", "one frame back, or on", "step-back", show=True),
    _key("full_stop", "app.step(1)", "Step", "one frame back, or on", "step", show=True),
    _key("left_square_bracket", "app.speed(0.5)", "Speed", "half or twice the speed", "slower", show=True),
    _key("right_square_bracket", "app.speed(2)", "Speed", "half or twice the speed", "faster", show=True),
    _key("backslash", "app.speed(0)", "x1", "real time", "real-time"),
    _key("left", "app.seek(-10)", "Seek", "10 s back, or on", "back", show=True),
    _key("right", "app.seek(10)", "Seek", "10 s back, or on", "forward", show=True),
    _key("shift+left,M", "app.seek(-60)", "Minute", "1 min back, or on", "minute-back"),
    _key("shift+right,m", "app.seek(60)", "Minute", "1 min back, or on", "minute-forward"),
]
HOURS: list[BindingType] = [
    _key("O", "app.seek(-3600)", "Hour", "1 h back, or on", "hour-back"),
    _key("o", "app.seek(3600)", "Hour", "1 h back, or on", "hour-forward"),
]
JUMPS: list[BindingType] = [
    _key("0", "app.start", "Start", "to the start", "start"),
    _key("g", "app.go_to", "Go", "to a time or a row", "go-to", show=True),
    _key("left_curly_bracket", "app.event(-1)", "Event", "event before, or next", "event-back"),
    _key("right_curly_bracket", "app.event(1)", "Event", "event before, or next", "event-forward"),
]
CHOICE: list[BindingType] = [
    _key("v", "app.terminal(False)", "Terminal", "panel's next terminal", "terminal", show=True),
    _key("V", "app.terminal(True)", "Terminal", "next terminal, all four", "all-terminals"),
    _key("p", "app.phase(False)", "Phase", "panel's next phase", "phase", show=True),
    _key("P", "app.phase(True)", "Phase", "next phase, all four", "all-phases"),
    _key("u", "app.quantity", "Quantity", "panel's quantity", "quantity"),
    _key("l", "app.overlay", "Overlay", "phases laid over, or one", "overlay"),
    _key("y", "app.scale", "Scale", "fit, limits, fixed", "scale"),
    _key("plus", "app.window(1)", "Window", "longer, shorter window", "wider"),
    _key("minus", "app.window(-1)", "Window", "longer, shorter window", "narrower"),
]
PANELS: list[BindingType] = [
    _key("enter", "app.chart", "Chart", "the panel, large", "chart", show=True),
    _key("1", "app.select(0)", "Panel", "select a panel", "panel-1"),
    _key("2", "app.select(1)", "Panel", "select a panel", "panel-2"),
    _key("3", "app.select(2)", "Panel", "select a panel", "panel-3"),
    _key("4", "app.select(3)", "Panel", "select a panel", "panel-4"),
    _key("tab", "app.next_panel(1)", "Panel", "next panel, or before", "next-panel"),
    _key("shift+tab", "app.next_panel(-1)", "Panel", "next panel, or before", "previous-panel"),
]
LOG: list[BindingType] = [
    _key("f", "follow", "Follow", "follow newest events", "follow", show=True),
    _key("end", "follow", "Follow", "follow newest events", "log-end"),
    _key("slash", "app.filter", "Filter", "events: only some", "filter", show=True),
    _key("x", "app.all_events", "All", "events: all again", "all-events"),
    _key("n", "mark(1)", "Mark", "events: mark one", "next-match"),
    _key("N", "mark(-1)", "Mark", "events: mark one", "previous-match"),
    _key("e", "card", "Event", "the event in full", "event-card", show=True),
    _key("up", "scroll_log(-1)", "Scroll", "events: up, or down", "log-up"),
    _key("down", "scroll_log(1)", "Scroll", "events: up, or down", "log-down"),
    _key("pageup", "scroll_page(-1)", "Scroll", "events: a page", "log-page-up"),
    _key("pagedown", "scroll_page(1)", "Scroll", "events: a page", "log-page-down"),
    _key("home", "oldest", "Oldest", "events: the oldest", "log-home"),
]
BACK: list[BindingType] = [
    _key("escape", "app.back", "Back", "back to the panels", "back-to-panels", show=True),
]

_OF_REPLAYS = frozenset(("step-back", "step", "slower", "faster", "back", "forward", "go-to"))
_OF_LIVE = frozenset(("record", "devices"))
"""What the key bar has no room for where it is of no use, or of little; the keys work all the same."""

_NAMES = {
    "question_mark": "?",
    "comma": ",",
    "full_stop": ".",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "backslash": "\\",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "up": "Up",
    "down": "Down",
    "shift": "Shift",
    "ctrl": "Ctrl",
}


def keymap(chosen: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The keys of a configuration, which are written as on the keyboard, as Textual wants them."""
    characters = {name: key for key, name in _NAMES.items() if len(name) == 1}
    return {
        id: ",".join(characters.get(key, _character_to_key(key) if len(key) == 1 else key) for key in keys)
        for id, keys in chosen.items()
    }


def mapped(bindings: Iterable[BindingType], keymap: Mapping[str, str]) -> list[Binding]:
    """The bindings with the keys that they have in a key map; a key that it gives away is taken away."""
    own = [binding for binding in bindings if isinstance(binding, Binding)]
    taken = {key for binding in own for key in keymap.get(binding.id or "", "").split(",")}
    found: list[Binding] = []
    for binding in own:
        given = keymap.get(binding.id or "")
        key = given or ",".join(key for key in binding.key.split(",") if key not in taken)
        found += [replace(binding, key=key)] if key else []
    return found


def name_of(key: str, glyphs: Glyphs) -> str:
    """A key as it is written on the keyboard: `[`, `Shift+Tab`; several with a space between."""
    names = _NAMES | {"left": glyphs.left, "right": glyphs.right}
    return " ".join("+".join(names.get(part, part) for part in one.split("+")) for one in key.split(","))


def footer(bindings: Iterable[BindingType], glyphs: Glyphs, live: bool = False) -> list[tuple[str, str]]:
    """(keys, words) of the bindings that want to be seen; neighbours with the same words are joined."""
    joined: list[tuple[str, str]] = []
    idle = _OF_REPLAYS if live else _OF_LIVE
    for binding in bindings:
        if not isinstance(binding, Binding) or not binding.show or binding.id in idle:
            continue
        name = name_of(binding.key, glyphs)
        if joined and joined[-1][1] == binding.description:
            before = joined[-1][0]
            between = "" if len(before) == len(name) == 1 else " "
            joined[-1] = (before + between + name, binding.description)
        else:
            joined.append((name, binding.description))
    return joined


def told(bindings: Iterable[BindingType], glyphs: Glyphs) -> list[tuple[str, str]]:
    """(keys, what they do) for the help screen; neighbours that do the same or the reverse are one line."""
    joined: list[tuple[str, str]] = []
    for binding in bindings:
        if not isinstance(binding, Binding):
            continue
        name = name_of(binding.key, glyphs)
        if joined and joined[-1][1] == binding.tooltip:
            before = joined[-1][0]
            name = name.removeprefix("Shift+") if before.startswith("Shift+") else name
            joined[-1] = (f"{before} {name}", binding.tooltip)
        else:
            joined.append((name, binding.tooltip))
    return joined
