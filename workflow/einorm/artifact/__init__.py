"""Results to hand over: archives, the report, the explorer, the bundle, and the records of how runs were made."""
