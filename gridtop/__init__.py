"""gridtop: a terminal monitor for power-system anomalies with plugin detectors."""

from pathlib import Path as _Path

__version__ = "0.1.0"

# In a source checkout the folders beside this one are gridtop.tui, gridtop.plugins, gridtop.models
# and gridtop.data; a wheel carries them inside this package, where no help is needed.
_root = _Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "tui" / "app.py").is_file():
    __path__.append(str(_root))
