"""Lines of text as they come, CSV or JSON: from standard input, a file that grows, or a TCP connection.

`feeds` and `connections` bring bytes, `cutting` makes lines of them, `formats` makes cells of a line,
`intake` finds out what the columns are and keeps the rows, `ordering` judges their times, `frames` makes
blocks, and `source` is what the monitor sees. `complaints` counts what is wrong, and tells it without a
flood.
"""

from .source import Lines, Tcp

__all__ = ["Lines", "Tcp"]
