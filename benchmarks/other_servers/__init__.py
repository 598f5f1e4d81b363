"""Servers of the same network that the benchmark `serving_cost` compares Topgraft with.

Each module is a program for an environment without Topgraft. It reads BENCHMARK_MODEL, the folder of a model, and
BENCHMARK_THREADS, the threads of its ONNX Runtime session.
"""
