"""Models: the OpenAI-compatible backend, the scripted one, and the adapter that accepts yours."""
