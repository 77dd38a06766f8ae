"""First-order methods, batches and epochs, and checkpoints of a training on disk."""
