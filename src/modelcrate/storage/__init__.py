"""Where the bytes of a crate live: one file, a folder, or memory; and how they get there whole or not at all."""

from __future__ import annotations

from modelcrate.storage.source import Source, open_source
from modelcrate.storage.writer import Payload, Written, write_archive, write_folder

__all__ = ["Payload", "Source", "Written", "open_source", "write_archive", "write_folder"]
