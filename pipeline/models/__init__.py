"""Networks: backbones, Soft Proposal, SPN, SPG and their twins without them."""
