"""Commands for a person: speed, cost, progress, golden vectors, proofs of what earlier training code gives."""
