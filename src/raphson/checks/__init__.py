"""Checks of a fit: what its rows show, against what data simulated from the fit would show."""
