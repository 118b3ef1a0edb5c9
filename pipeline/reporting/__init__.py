"""What is shown: the papers' figures beside ours, as tables, metrics, pictures and one page."""
