"""Which images are held out."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.holdout import hold_out

IDS = [f"{i:06}" for i in range(100)]


@given(st.permutations(IDS))
def test_the_choice_does_not_depend_on_the_order(ids: list[str]) -> None:
    assert hold_out(ids, 0.2, seed=0) == hold_out(IDS, 0.2, seed=0)


def test_it_holds_out_the_asked_share() -> None:
    assert len(hold_out(IDS, 0.2, seed=0)) == 20


def test_another_seed_chooses_others() -> None:
    assert hold_out(IDS, 0.2, seed=0) != hold_out(IDS, 0.2, seed=1)


def test_a_larger_share_contains_the_smaller() -> None:
    assert hold_out(IDS, 0.1, seed=0) < hold_out(IDS, 0.3, seed=0)
