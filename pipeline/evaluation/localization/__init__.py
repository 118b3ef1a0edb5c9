"""From a response map to a point or a box."""
