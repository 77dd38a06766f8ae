"""Many problems of one kind, solved in parallel."""
