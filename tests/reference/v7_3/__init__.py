"""What kernels 7.0 and 7.3 decide otherwise than 6.18 (docs/rules/7.3)."""
