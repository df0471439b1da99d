"""Recordings: files of frames read as blocks, in bounded memory (docs/recordings.md).

`recording` is what the rest of the engine sees; `csv_text` and `csv_tables` read text, `parquet` the other
format, `tables` says what one cell means and `timestamps` what a time is.
"""

from gridtop.recordings.recording import PIECE_BYTES, Recording, open_recording

__all__ = ["PIECE_BYTES", "Recording", "open_recording"]
