"""Generalised linear models, in memory and streamed, and maxima at infinity."""
