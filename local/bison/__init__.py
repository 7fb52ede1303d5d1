"""A fake Email Bison: one instance host with many workspaces, faults on demand, and a control API.

`running_bison` serves it from a thread, `spawned_bison` from a process (`python -m local.bison`);
both give a `BisonControl`.
"""

from local.bison.changes import (
    Add,
    AddReplies,
    Change,
    ChangeFields,
    ChangeReply,
    Remove,
    Restore,
)
from local.bison.control import BisonControl, BisonControlError
from local.bison.faults import (
    Body,
    Chaos,
    Conversations,
    Cursors,
    Hold,
    Match,
    MovingItems,
    Mutate,
    OtherWorkspace,
    Paging,
    RateLimit,
    RepeatedIds,
    Rule,
    Size,
    Status,
    TokenBucket,
)
from local.bison.fleet import FleetSpec, default_fleet, scaled_fleet
from local.bison.reader import BisonReader
from local.bison.replies import FeedSpec
from local.bison.server import running_bison, spawned_bison
from local.bison.wire import Traffic, WorkspaceInfo
from local.delivery import Break, Drip

__all__ = [
    "Add",
    "AddReplies",
    "BisonControl",
    "BisonControlError",
    "BisonReader",
    "Body",
    "Break",
    "Change",
    "ChangeFields",
    "ChangeReply",
    "Chaos",
    "Conversations",
    "Cursors",
    "Drip",
    "FeedSpec",
    "FleetSpec",
    "Hold",
    "Match",
    "MovingItems",
    "Mutate",
    "OtherWorkspace",
    "Paging",
    "RateLimit",
    "Remove",
    "RepeatedIds",
    "Restore",
    "Rule",
    "Size",
    "Status",
    "TokenBucket",
    "Traffic",
    "WorkspaceInfo",
    "default_fleet",
    "running_bison",
    "scaled_fleet",
    "spawned_bison",
]
