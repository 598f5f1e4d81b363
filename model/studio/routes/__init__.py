"""Requests of the views. Each file has `add_routes`, which adds its routes to the application."""
