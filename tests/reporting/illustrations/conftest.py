from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipeline.packed.record import Record


@pytest.fixture(scope="session")
def picture():
    """Make a grey 40 x 20 record of boxes (n, 4) and their classes."""

    def make(name, boxes, labels):
        buffer = BytesIO()
        Image.new("RGB", (40, 20), (200, 200, 200)).save(buffer, "PNG")
        return Record(
            id=name,
            image=buffer.getvalue(),
            width=40,
            height=20,
            labels=tuple(sorted(set(labels))),
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            box_labels=np.array(labels if len(boxes) else [], np.int64),
            difficult=np.zeros(len(boxes), bool),
        )

    return make
