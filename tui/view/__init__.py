"""What the screen says, as plain data: no Textual in here, so all of it is tested without a terminal."""
