"""From rows of results to verdicts: which runs a rule takes, effects and intervals, statements and their judgement."""
