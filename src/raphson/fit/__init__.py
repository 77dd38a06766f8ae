"""The Fit, and everything that is worked out from it when asked for."""
