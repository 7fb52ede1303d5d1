"""What control answers and takes, as types that both ends share."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from local.bison.changes import Change
from local.bison.faults import Rule, RuleState
from local.bison.fleet import Fleet, Workspace
from local.bison.pages import last_page
from local.bison.traffic import Kind, SeenRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceInfo:
    """`key` is the whole bearer, `<n>|<token>`; `last_page` and `total` are of this moment."""

    workspace_id: int
    name: str
    key: str
    key_accepted: bool
    total: int
    last_page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All requests since the last reset, in order of arrival, and the peaks in flight."""

    requests: tuple[SeenRequest, ...] = ()
    peak_in_flight: int = 0
    peak_by_workspace: Mapping[str, int] = field(default_factory=dict)

    def select(
        self,
        workspace: str | None = None,
        kind: Kind | None = None,
        page: int | None = None,
        status: int | None = None,
    ) -> tuple[SeenRequest, ...]:
        """The requests that agree with every argument given."""
        return tuple(
            seen
            for seen in self.requests
            if workspace in (None, seen.workspace)
            and kind in (None, seen.kind)
            and page in (None, seen.page)
            and status in (None, seen.status)
        )

    def per_page(self, workspace: str) -> Counter[int]:
        """How often each page of the workspace's list was asked for."""
        return Counter(
            seen.page for seen in self.select(workspace, "page") if seen.page is not None
        )

    def per_conversation(self, workspace: str) -> Counter[int]:
        """How often the conversation of each reply was asked for."""
        return Counter(
            seen.item for seen in self.select(workspace, "conversation") if seen.item is not None
        )


CHANGES: TypeAdapter[tuple[Change, ...]] = TypeAdapter(tuple[Change, ...])
RECORDS: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[dict[str, Any]])
RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
RULE_STATES: TypeAdapter[list[RuleState]] = TypeAdapter(list[RuleState])
CONVERSATIONS: TypeAdapter[list[list[int]]] = TypeAdapter(list[list[int]])
TOUCHED: TypeAdapter[list[list[int]]] = TypeAdapter(list[list[int]])
TRAFFIC: TypeAdapter[Traffic] = TypeAdapter(Traffic)
WORKSPACES: TypeAdapter[list[WorkspaceInfo]] = TypeAdapter(list[WorkspaceInfo])


def workspace_info(workspace: Workspace) -> WorkspaceInfo:
    return WorkspaceInfo(
        workspace_id=workspace.id,
        name=workspace.name,
        key=workspace.key,
        key_accepted=workspace.key_accepted,
        total=len(workspace.ids),
        last_page=last_page(workspace),
    )


def workspace_infos(fleet: Fleet) -> list[WorkspaceInfo]:
    return [workspace_info(workspace) for workspace in fleet]
