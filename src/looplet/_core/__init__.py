"""Decides everything, performs nothing: no files, threads, sleeps or asyncio in this package."""
