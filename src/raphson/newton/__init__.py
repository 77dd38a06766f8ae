"""The iteration θ ← θ + α (M + τD)⁻¹ ∇ℓ(θ), for any M."""
