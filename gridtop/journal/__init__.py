"""The journal: one SQLite file with what happened, what alarms are like now, and what sinks are owed."""

from gridtop.journal.journal import Journal
from gridtop.journal.records import Restored, Saved, Tally

__all__ = ["Journal", "Restored", "Saved", "Tally"]
