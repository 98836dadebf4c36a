"""Values that are made once, by whichever thread asks first."""

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any


class Once:
    """Values by key; who asks for one that is being made waits for it."""

    def __init__(self) -> None:
        self.values: dict[Hashable, Any] = {}
        self._lock = threading.Lock()
        self._locks: defaultdict[Hashable, threading.RLock] = defaultdict(threading.RLock)

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made now if nobody has asked for it before; making it may ask for other keys."""
        with self._lock:
            lock = self._locks[key]
        with lock:
            if key not in self.values:
                self.values[key] = make()
            return self.values[key]
