"""Models with their data: what the iteration maximises and the Fit reads."""
