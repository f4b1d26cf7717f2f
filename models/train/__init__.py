"""Trains the models of `repository/` and builds the benchmark models of `bench/`."""
