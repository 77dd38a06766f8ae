"""The Fit, and everything that is computed from it on request."""
