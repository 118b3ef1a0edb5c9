"""A trained model as an ONNX file, which needs nothing of this repository.

python -m pipeline.export data/models/spn_multi spn.onnx
"""

import argparse
import logging
import sys
from pathlib import Path

from pipeline.errors import InputError
from pipeline.exporting import onnx_file
from pipeline.prediction.model import load


def main() -> None:
    """Export; the exit status is 1 if the model cannot be, or its file would differ from it."""
    logging.getLogger("timm").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(prog="python -m pipeline.export", description=__doc__)
    parser.add_argument("model", type=Path, help="folder of a trained model")
    parser.add_argument("file", type=Path, help="the ONNX file to write")
    given = parser.parse_args()
    try:
        shares = onnx_file.write(load(given.model), given.file)
    except InputError as error:
        sys.exit(f"export: {error}")
    except OSError as error:
        sys.exit(f"export: {given.file}: cannot be written ({error.strerror}); name another file")
    for name, share in shares.items():
        print(f"{name}: within {share:.1e} of the network's largest value")
    print(given.file)


if __name__ == "__main__":
    main()
