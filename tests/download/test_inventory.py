"""What lies in a folder, in few words."""

import os
from pathlib import Path

from pipeline.download.inventory import inventory


def test_a_file_name_that_is_no_utf_8_is_inventoried(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    assert inventory(tmp_path, (Path(),))["files"] == 1
