"""The parts of `coding_agent`."""
