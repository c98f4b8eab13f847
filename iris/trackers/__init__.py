"""Many trackers: an unchanged database for each, spread over servers, by a map that pgbouncer reads, too."""
