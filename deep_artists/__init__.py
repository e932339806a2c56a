"""Deep Unlearning (McFee and Montecchio, 2013), rebuilt to its numbers.

Music features learned by recognising artists. Start with ``deep-artists reproduce`` on the command
line, or with `deep_artists.train.train`. Importing this package imports nothing else.
"""
