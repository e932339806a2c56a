"""Compare this machine's results with the original programs' recorded numbers."""
