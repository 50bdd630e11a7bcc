"""ponder: spend inference compute well, measure what it buys, account for what it means."""
