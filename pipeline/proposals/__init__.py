"""Boxes that may hold an object, of methods that propose them: SPN Table 1."""
