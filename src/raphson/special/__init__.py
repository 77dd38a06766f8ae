"""Special functions with accurate derivatives, where JAX's own lose digits or have none."""
