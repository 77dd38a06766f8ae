"""The front doors: what a user calls, and what it is asked with."""
