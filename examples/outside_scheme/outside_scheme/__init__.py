"""Two schemes for rmapcore, announced in the entry-point group rmapcore.schemes."""
