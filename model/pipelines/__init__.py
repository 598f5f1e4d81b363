"""Pipelines: notebooks as steps, read from one file, for this machine, Elyra and Argo Workflows."""
