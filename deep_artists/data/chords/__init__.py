"""Chords: their names and templates, annotations of recordings, constant-Q frames, fingerings."""
