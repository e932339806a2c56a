"""The 2013 system: recipe, network, training, model."""
