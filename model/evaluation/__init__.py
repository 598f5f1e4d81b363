"""How good a trained model is: metrics with their uncertainty, calibration, and the report that shows them."""
