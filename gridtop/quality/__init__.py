"""Quality beside every value: the stage between the source and the quantities (docs/quality.md).

`settings` is what can be configured; `status_words`, `plausibility`, `repetition` and `flatline` each find
one kind of doubt, and `checks` puts their flags into blocks.
"""

from gridtop.quality.checks import QualityChecks
from gridtop.quality.settings import QualitySettings

__all__ = ["QualityChecks", "QualitySettings"]
