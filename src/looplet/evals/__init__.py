"""Grading: cases, scores, reports. No dependencies; the pytest plugin is its main user."""
