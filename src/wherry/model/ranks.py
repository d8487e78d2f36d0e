"""Lock ranks: locks are only ever taken in ascending rank, within a rank in ascending id (INVARIANTS.md, L1)."""

from __future__ import annotations

RUNTIME = 1
POD = 2
CONTAINER = 3
VOLUME = 4
NETWORK = 5
STORAGE = 6
TRANSACTION = 7

NAMES = {
    RUNTIME: "runtime", POD: "pod", CONTAINER: "container", VOLUME: "volume", NETWORK: "network",
    STORAGE: "storage", TRANSACTION: "transaction",
}
