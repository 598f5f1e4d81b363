"""What a training tells others while it runs and when it is done: TensorBoard and MLflow."""
