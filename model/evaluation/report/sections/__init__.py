"""Sections of a report: for each a function from the content to the values of the template of the same name."""
