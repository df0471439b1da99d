"""The command line. Nothing heavy is imported before the command that needs it is known."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the `gridtop` command and exit with a documented status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["--version"], ["-V"]):
        from gridtop import __version__

        sys.stdout.write(f"gridtop {__version__}\n")
        return
    from gridtop.commands.root import run

    sys.exit(run(arguments))
