"""Self-produced Guidance (Zhang et al., ECCV 2018)."""
