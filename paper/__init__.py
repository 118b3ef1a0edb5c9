"""The papers' tables with the papers' settings, on the papers' data: `make paper TABLE=spn-2`."""
