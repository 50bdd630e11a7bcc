"""One scorer a file: it judges samples without a key."""
