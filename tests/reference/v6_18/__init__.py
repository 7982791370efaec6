"""What kernel 6.18 decides otherwise (docs/rules/6.18); the files have the names that they have in v2_6_7."""
