"""Time per image of the methods of SPN Table 1, on one thread of this machine's CPU.

    python -m benchmarks.proposals --images 50

The pictures are test images that stage `preprocess` has packed, decoded and, for the networks,
warped before the clock starts. Each picture is given to all methods in turn, so that other load
falls on all of them alike. The networks see one picture at a time; they have the weights that a
run of the pipeline has left, else random ones. The paper's times are those of other machines: a
Tesla K80 for RPN and SPN, a CPU for the others; SPN's is that of the Soft Proposal alone.
"""

import argparse
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from statistics import quantiles
from time import perf_counter

import torch

from benchmarks.packing import table
from pipeline.errors import InputError
from pipeline.methods.bases.edge_boxes import edge_boxes
from pipeline.methods.bases.search import decode
from pipeline.methods.bases.spn.network import SoftProposalNetwork
from pipeline.methods.rpn import RegionProposer
from pipeline.methods.selective_search import selective_search
from pipeline.models.backbones import Backbone
from pipeline.models.interface import WEIGHTS
from pipeline.models.weights import load_weights
from pipeline.packed.pictures import to_tensor, warp
from pipeline.packed.record import Record
from pipeline.packed.store import PackedSplit
from pipeline.params import Params, load
from pipeline.processes import granted_cores
from pipeline.reporting.published import counterpart, of_table
from stages import PARAMS
from stages.paths import model_folder, split_folder

PAPERS_ROWS = {
    "Selective Search": "Selective Search",
    "EdgeBoxes": "EdgeBoxes",
    "RPN: network and proposals": "RPN (supervised)",
    "SPN: Soft Proposal alone": "SPN",
}
"""Name of what is timed -> the row of SPN Table 1 that it belongs to."""

Seconds = Mapping[str, Sequence[float]]
"""The times of each picture, by name of what is timed."""


def main() -> None:
    """Measure every method and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--images", type=int, default=50)
    given = arguments.parse_args()
    if given.images < 2:
        arguments.error("--images: at least 2 are needed")
    print(time_table(measure(load(PARAMS), given.images)))
    packages = ("opencv-contrib-python-headless", "torch", "torchvision", "numpy")
    print(
        f"\nPython {platform.python_version()}, "
        f"{', '.join(f'{name} {version(name)}' for name in packages)}; 1 thread on "
        f"{granted_cores()} CPU(s), {platform.system()} {platform.machine()}."
    )


def measure(params: Params, images: int) -> Seconds:
    """Return the times of up to `images` test images, after one that is not timed."""
    torch.set_num_threads(1)
    split = PackedSplit(split_folder("multi", "test"))
    proposer, spn = region_proposer(params), soft_proposal_network(params, len(split.classes))
    seconds: dict[str, list[float]] = {}
    with torch.inference_mode():
        for index in range(min(images, len(split))):
            for name, method in methods(split[index], proposer, spn, params).items():
                if index == 0:
                    method()
                start = perf_counter()
                method()
                seconds.setdefault(name, []).append(perf_counter() - start)
    return seconds


def methods(
    record: Record, proposer: RegionProposer, spn: SoftProposalNetwork, params: Params
) -> dict[str, Callable[[], object]]:
    """Return what is timed on one image, by name."""
    stored = decode(record)
    warped = to_tensor(warp(record.image, params.input.size))[None]
    return {
        "Selective Search": partial(selective_search, stored),
        "EdgeBoxes": partial(edge_boxes, stored, params.edge_boxes.boxes),
        "RPN: network and proposals": partial(proposer, warped),
        "SPN: network": partial(spn, warped),
        "SPN: Soft Proposal alone": partial(spn.proposal_maps, spn.features(warped)),
    }


def region_proposer(params: Params) -> RegionProposer:
    """Return the RPN, trained if a run of the pipeline has."""
    network = RegionProposer(Backbone(params.backbone), params.input.size)
    with suppress(InputError):
        load_weights(network, model_folder("rpn") / WEIGHTS, "train_method@rpn")
    return network.eval()


def soft_proposal_network(params: Params, classes: int) -> SoftProposalNetwork:
    """Return SPN, trained if a run of the pipeline has."""
    network = SoftProposalNetwork(Backbone(params.backbone), classes, params.spn)
    with suppress(InputError):
        load_weights(network, model_folder("spn_multi") / WEIGHTS, "train_spn@multi")
    return network.eval()


def time_table(seconds: Seconds) -> str:
    """Return a Markdown table: median and quartiles beside the paper's time."""
    return table([{"": name} | _times(name, own) for name, own in seconds.items()])


def _times(name: str, seconds: Sequence[float]) -> dict[str, str]:
    low, middle, high = (1000 * time for time in quantiles(seconds, n=4, method="inclusive"))
    paper = counterpart(of_table("spn-1"), PAPERS_ROWS.get(name, ""), "time (ms)", "VOC2007")
    return {
        "Median, ms": f"{middle:.1f}",
        "Quartiles, ms": f"{low:.1f} – {high:.1f}",
        "Paper, ms": paper.printed if paper else "–",
    }


if __name__ == "__main__":
    main()
