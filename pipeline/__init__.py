"""Weakly supervised object localization: Soft Proposal Networks and Self-produced Guidance."""
