"""Dealing labelled pictures into two parts by a seed, so that both have pictures of each class."""

from collections.abc import Mapping

from pipeline.datasets.holdout import hold_out


def deal(labels: Mapping[str, tuple[str, ...]], fraction: float, seed: int) -> frozenset[str]:
    """Choose `fraction` (0-1) of the pictures of each class, to be held out.

    Classes are dealt from the rarest on, each among its pictures that are not dealt yet (the idea
    of iterative stratification, Sechidis et al., ECML 2011). Of each class that has two or more
    left, one at least is chosen and one at least is not; with several labels to a picture the
    choice for a rarer class can take the last one of another. Pictures without a label are dealt
    as if they had one of their own. The choice does not depend on the order of the pictures.

    Args:
        labels: the labels of each picture, by its name.
    """
    of_class: dict[str, set[str]] = {}
    for name, own in labels.items():
        for label in own or ("",):
            of_class.setdefault(label, set()).add(name)
    chosen: set[str] = set()
    dealt: set[str] = set()
    for _, names in sorted(of_class.items(), key=lambda item: (len(item[1]), item[0])):
        free = names - dealt
        if fraction and free:
            wanted = min(max(1, round(fraction * len(names))), len(names) - 1)
            missing = min(max(0, wanted - len(names & chosen)), len(free))
            chosen |= hold_out(free, missing / len(free), seed)
        dealt |= names
    return frozenset(chosen)
