"""Attacks on a running service, kills of commands, and a long load: what an operator relies on."""
