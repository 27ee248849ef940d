"""Hooks ready to use, one file each."""
