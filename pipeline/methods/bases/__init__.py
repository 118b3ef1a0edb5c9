"""What several methods are built on: CAM and SPN, SPG-plain, and EdgeBoxes."""
