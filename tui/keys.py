"""Every key binding of the app, and how footer and help tell of them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType

from .glyphs import Glyphs


def _key(key: str, action: str, words: str, tells: str, id: str, show: bool = False) -> Binding:
    return Binding(key, action, words, show=show, tooltip=tells, id=id)


GENERAL: list[BindingType] = [
    _key("q", "app.quit", "Quit", "leave", "quit", show=True),
    _key("question_mark", "app.help", "Help", "this page", "help", show=True),
]
ALARMS: list[BindingType] = [
    _key("a", "app.acknowledge", "Ack", "acknowledge the alarm", "acknowledge", show=True),
]
TRANSPORT: list[BindingType] = [
    _key("space", "app.pause", "Pause", "pause, or resume", "pause", show=True),
    _key("comma", "app.step(-1)", "Step", "one frame back, or on", "step-back", show=True),
    _key("full_stop", "app.step(1)", "Step", "one frame back, or on", "step", show=True),
    _key("left_square_bracket", "app.speed(0.5)", "Speed", "half or twice the speed", "slower", show=True),
    _key("right_square_bracket", "app.speed(2)", "Speed", "half or twice the speed", "faster", show=True),
    _key("backslash", "app.speed(0)", "x1", "real time", "real-time"),
    _key("left", "app.seek(-10)", "Seek", "10 s back, or on", "back", show=True),
    _key("right", "app.seek(10)", "Seek", "10 s back, or on", "forward", show=True),
    _key("shift+left", "app.seek(-60)", "Minute", "1 min back, or on", "minute-back"),
    _key("shift+right", "app.seek(60)", "Minute", "1 min back, or on", "minute-forward"),
]
JUMPS: list[BindingType] = [
    _key("0", "app.start", "Start", "to the start", "start"),
    _key("g", "app.go_to", "Go", "to a time or a row", "go-to", show=True),
]
CHOICE: list[BindingType] = [
    _key("v", "app.terminal(False)", "Terminal", "the panel's next terminal", "terminal", show=True),
    _key("V", "app.terminal(True)", "Terminal", "next terminal, all four", "all-terminals"),
    _key("p", "app.phase(False)", "Phase", "the panel's next phase", "phase", show=True),
    _key("P", "app.phase(True)", "Phase", "next phase, all four", "all-phases"),
    _key("plus", "app.window(1)", "Window", "look back more, or less", "wider"),
    _key("minus", "app.window(-1)", "Window", "look back more, or less", "narrower"),
]
PANELS: list[BindingType] = [
    _key("enter", "app.chart", "Chart", "the panel, large", "chart", show=True),
    *(_key(str(n), f"app.select({n - 1})", "Panel", "select a panel", f"panel-{n}") for n in range(1, 5)),
    _key("tab", "app.next_panel(1)", "Panel", "next panel, or before", "next-panel"),
    _key("shift+tab", "app.next_panel(-1)", "Panel", "next panel, or before", "previous-panel"),
]
LOG: list[BindingType] = [
    _key("f", "follow", "Follow", "follow newest events", "follow", show=True),
    _key("end", "follow", "Follow", "follow newest events", "log-end"),
    _key("up", "scroll_log(-1)", "Scroll", "events: up, or down", "log-up"),
    _key("down", "scroll_log(1)", "Scroll", "events: up, or down", "log-down"),
    _key("pageup", "scroll_page(-1)", "Scroll", "events: a page", "log-page-up"),
    _key("pagedown", "scroll_page(1)", "Scroll", "events: a page", "log-page-down"),
    _key("home", "oldest", "Oldest", "events: the oldest", "log-home"),
]
BACK: list[BindingType] = [
    _key("escape", "app.back", "Back", "back to the panels", "back-to-panels", show=True),
]

_NAMES = {
    "question_mark": "?",
    "comma": ",",
    "full_stop": ".",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "backslash": "\\",
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
}


def name_of(key: str, glyphs: Glyphs) -> str:
    """A key as it is written on the keyboard: `[`, `Shift+Tab`."""
    names = _NAMES | {"left": glyphs.left, "right": glyphs.right}
    return "+".join(names.get(part, part) for part in key.split("+"))


def footer(bindings: Iterable[BindingType], glyphs: Glyphs) -> list[tuple[str, str]]:
    """(keys, words) of the bindings that want to be seen; neighbours with the same words are joined."""
    joined: list[tuple[str, str]] = []
    for binding in bindings:
        if not isinstance(binding, Binding) or not binding.show:
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
