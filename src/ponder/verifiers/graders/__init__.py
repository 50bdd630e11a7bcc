"""One grader a file: it compares a choice with the key."""
