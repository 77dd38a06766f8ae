"""Replays users' traced functions with accurate operations in place of those that lose digits."""
