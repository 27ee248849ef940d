"""The pytest plugin: collects `eval_*` functions, runs the agents they need, scores and reports."""
