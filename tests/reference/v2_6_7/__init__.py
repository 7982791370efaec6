"""What kernel 2.6.7 decides (docs/rules.md)."""
