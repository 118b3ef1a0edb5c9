"""What several methods are built on: the twins without the papers' ideas, and EdgeBoxes."""
