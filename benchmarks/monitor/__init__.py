"""What a monitor sees of cheating: in the raw chain, in its summary, in the answer alone."""
