"""Studies over seeds: settings side by side, their differences pooled, in tables and figures."""
