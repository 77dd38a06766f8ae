"""Many problems of one kind, side by side."""
