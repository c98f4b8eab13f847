"""Everything out and in again, and in from other trackers: `iris export` and `iris import`."""

from iris.transfer.files import Refused

__all__ = ["Refused"]
