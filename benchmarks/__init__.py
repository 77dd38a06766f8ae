"""Side by side with other packages, in one run: `make bench`."""
