"""The evidence: recordings of the original programs and of Theano, and what made them."""

if __name__ != "deep_artists.reference":  # one name, one module
    raise ImportError(f"{__name__} is deep_artists.reference: import it under that name")
