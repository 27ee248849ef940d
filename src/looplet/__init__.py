"""An agent loop you iterate: `for step in composable_loop(llm=..., tools=..., task=...)`.

PYTEST_DONT_REWRITE (this package holds no test assertions; see docs/architecture.md)
"""
