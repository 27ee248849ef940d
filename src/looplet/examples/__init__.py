"""Runnable examples: `python -m looplet.examples.NAME`."""
