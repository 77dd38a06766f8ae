"""The functions that a user calls, and the handling of their arguments."""
