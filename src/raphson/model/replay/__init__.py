"""Functions that users write, run again with accurate operations in place of those that lose digits."""
