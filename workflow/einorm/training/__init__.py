"""From a job's runs to the rows of its shard: batches of runs, epochs, steps on a CPU and on a GPU."""
