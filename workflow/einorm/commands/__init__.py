"""Subcommands, each with its arguments. Heavy modules (torch, matplotlib) are imported by those that need them."""
