"""What is to be run and what was run: runs and jobs, the code that trained them, tables and archives."""
