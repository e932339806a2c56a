"""Other systems of the time, one small program each."""
