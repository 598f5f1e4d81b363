"""What leaves the workspace: archives of models, model cards, public links, and the repository of a child module."""
