"""All that the Snakefile asks before a job starts: plain strings, numbers and paths."""
