"""The evidence: recordings of the 2013 program and of Theano 0.6, and what made them."""
