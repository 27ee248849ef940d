"""The trace: one directory for show, diff, replay, resume, eval and snapshot."""
