"""Inspection: what a recording holds, and the configuration that fits it (docs/inspect.md).

`survey` reads the file once, `statistics` says what its columns hold, `time_columns` finds the time; `names`
and `guessing` say what each column means, `phasors`, `site_guess` and `line_guess` what the terminals are to
one another; `report` tells people, `yaml_text` writes the configuration.
"""

from gridtop.inspection.findings import Findings, inspect_recording

__all__ = ["Findings", "inspect_recording"]
