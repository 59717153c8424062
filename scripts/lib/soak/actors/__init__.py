"""The kinds of checked work, and how a number of connections is shared out among them."""

import itertools
from collections.abc import Collection

from soak.actors.base import Actor
from soak.actors.keyspace import Expiry, Immortal, Scan
from soak.actors.near_cache import NearCache
from soak.actors.optimistic import Accounts, Optimistic, Watches
from soak.actors.pubsub import PubSubGroup
from soak.actors.queues import Handoff, Queue, Timeouts
from soak.actors.scripting import Functions, Scripts
from soak.actors.streams import StreamGroup
from soak.actors.users import Users
from soak.actors.values import (
    Counters,
    Counts,
    HashValues,
    LargeValues,
    ListValues,
    Pipelines,
    SetValues,
    SortedSetValues,
    StringValues,
    Transactions,
)

_MIX: tuple[type[Actor], ...] = (
    Counters, StringValues, ListValues, HashValues, SetValues, SortedSetValues, StreamGroup, Counts,
    Scripts, Functions, Users, Pipelines, Transactions, Queue, Handoff, Timeouts,
    Watches, Optimistic, Accounts, PubSubGroup, NearCache, Expiry, Immortal, Scan, LargeValues,
    Counters, HashValues, Expiry, SortedSetValues, SetValues, StreamGroup, StringValues,
)

KINDS = {kind.__name__: kind for kind in _MIX}


def share_out(connections: int, wanted: Collection[str] = tuple(KINDS)) -> list[str]:
    """Names of wanted kinds that together use exactly so many connections, if they can."""
    mix = [kind for kind in _MIX if kind.__name__ in wanted]
    chosen: list[str] = []
    left = connections
    for kind in itertools.cycle(mix):
        if left < min(kind.CONNECTIONS for kind in mix):
            return chosen
        if kind.CONNECTIONS <= left:
            chosen.append(kind.__name__)
            left -= kind.CONNECTIONS
    return chosen
