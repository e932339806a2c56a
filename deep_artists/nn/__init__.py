"""What every network here is made of: layers, updates, training steps, the loop, checkpoints."""
