"""Pictures dealt into two parts by class."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.dealing import deal

ONE_LABEL = st.lists(st.sampled_from("abc"), min_size=1, max_size=40)


@settings(deadline=None)
@given(ONE_LABEL, st.floats(0.01, 0.99), st.integers(0, 5))
def test_each_class_of_two_or_more_is_on_both_sides(
    classes: list[str], fraction: float, seed: int
) -> None:
    labels = {f"{number}": (name,) for number, name in enumerate(classes)}
    chosen = deal(labels, fraction, seed)
    for name in set(classes):
        own = {picture for picture, (label,) in labels.items() if label == name}
        held = len(own & chosen)
        assert held == min(max(1, round(fraction * len(own))), len(own) - 1)


def test_the_choice_does_not_depend_on_the_order() -> None:
    labels = {f"{n}": (("a",), ("a", "b"), ("b",), ())[n % 4] for n in range(40)}
    backwards = dict(reversed(labels.items()))
    assert deal(labels, 0.2, 0) == deal(backwards, 0.2, 0)
    assert deal(labels, 0.2, 0) != deal(labels, 0.2, 1)


def test_pictures_of_several_labels_are_dealt_once_and_by_about_the_share() -> None:
    labels = {f"{n}": (("a",), ("a", "b"), ("b",), ())[n % 4] for n in range(80)}
    chosen = deal(labels, 0.25, 0)
    for name in ("a", "b"):
        assert sum(name in own for picture, own in labels.items() if picture in chosen) == 10
    assert sum(not labels[picture] for picture in chosen) == 5


def test_no_share_holds_out_nothing() -> None:
    assert deal({"0": ("a",), "1": ("a",)}, 0.0, 0) == frozenset()
