"""Phase 1: run the agents, side by side, before the first eval is called; and score runs that were stored."""
