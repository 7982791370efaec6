"""What kernel 2.6.7 decides (docs/rules/2.6.7, docs/rules/machine)."""
