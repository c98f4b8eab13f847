"""Lists: filters, search, and pages that start at a key."""
