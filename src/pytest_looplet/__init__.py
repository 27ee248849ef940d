"""A pytest plugin that turns agent runs into a regression suite."""
