"""Data sets: a file per source, one record type, the packed store."""
