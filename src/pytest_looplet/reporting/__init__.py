"""What a session says: entries, verdicts, and the forms they are shown in, without secrets."""
