"""The interface of `looplet review`: the only part that needs the extra `looplet[review]` (textual)."""
