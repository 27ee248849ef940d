"""The parts of `data_agent` and `scripted_demo`: a table of contacts to clean up."""
