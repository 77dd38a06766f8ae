"""Models with their data: what the iteration climbs and the Fit reads."""
