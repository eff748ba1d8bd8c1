"""Data to learn on: real data sets, and synthetic SCMs whose interventions and counterfactuals are known."""
