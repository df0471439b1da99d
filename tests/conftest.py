"""What holds for all tests."""

from hypothesis import settings

# A deadline would be an assertion on wall-clock time, and machines are busy.
settings.register_profile("gridtop", deadline=None)
settings.load_profile("gridtop")
