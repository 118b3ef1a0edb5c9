"""From a trained network to its scores: localization, metrics, protocol."""
