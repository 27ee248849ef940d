"""`looplet review`: look at pending snapshots and recordings in a terminal, and decide about each."""
