"""First-order methods, batches and epochs, and training kept on disk."""
