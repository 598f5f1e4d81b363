"""Publishing of trained models: archives, model cards, public links and repositories of child modules."""
