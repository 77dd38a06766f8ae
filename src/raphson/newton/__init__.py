"""The iteration: θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), with whatever M."""
