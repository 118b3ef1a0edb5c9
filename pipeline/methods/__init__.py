"""The methods: a file or folder each, and one registry."""
