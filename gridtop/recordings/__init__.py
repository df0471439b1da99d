"""Recordings: files of frames read as blocks, in bounded memory (docs/recordings.md), and written.

`recording` is what the rest of the engine sees; `file_kinds` tells the formats apart; `csv_text` and
`csv_tables` read text, `parquet` the other format of tables, `tables` says what one cell means and
`timestamps` what a time is. `comtrade` reads fault records: `comtrade_header`, `comtrade_samples` and
`sample_clock` the files, `comtrade_channels` their names, `point_on_wave` and `comtrade_phasors` make phasors
of waves. `stretches` says which frames are meant, `exporting` writes them. `native` reads what live data are
recorded in: `native_chunks` are the frames, `native_head` the rest, `native_tables` the file. It is written
by `native_writing` in the place that `native_place` keeps, and by `native_copying` at once.
"""

from gridtop.recordings.recording import PIECE_BYTES, Recording, open_recording

__all__ = ["PIECE_BYTES", "Recording", "open_recording"]
