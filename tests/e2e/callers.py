"""The same world, seen by everybody who may knock at its API."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from postgrest import CountMethod
from postgrest.exceptions import APIError

from local.bison import Status, running_bison
from supabase import AsyncClient
from tests.e2e.world import World, answered
from tests.support.db import Row

DENIED = "42501"
FUNCTIONS = """
    select p.proname as name, p.pronargs - p.pronargdefaults as required, p.proargnames as arguments
    from pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.prorettype <> 'trigger'::regtype
      and not exists (select 1 from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
"""
RELATIONS = """
    select distinct on (c.relname) c.relname as name, a.attname as any_column
    from pg_class as c join pg_attribute as a on a.attrelid = c.oid
    where a.attnum > 0 and a.attidentity = '' and a.attgenerated = ''
      and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and not exists (select 1 from pg_depend as d where d.objid = c.oid and d.deptype = 'e')
    order by c.relname, a.attnotnull desc, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Callers:
    """A client each."""

    world: World
    anonymous: AsyncClient
    user: AsyncClient
    operator: AsyncClient
    service: AsyncClient

    def functions(self) -> dict[str, dict[str, None]]:
        """Every function with nothing for each argument it requires."""
        return {
            row["name"]: dict.fromkeys((row["arguments"] or [])[: row["required"]])
            for row in self.world.db.run(FUNCTIONS)
        }

    def relations(self) -> list[Row]:
        """Every table and view: name, and a column that may be written."""
        return self.world.db.run(RELATIONS)

    def names(self) -> list[str]:
        return [relation["name"] for relation in self.relations()]


@asynccontextmanager
async def seen_by_everybody(world: World) -> AsyncIterator[Callers]:
    """After a sync in which one workspace failed, so that hardly a view is empty."""
    async with running_bison({"acme": 40, "zen": 20}) as bison, world.workers():
        await world.register(bison)
        await bison.fault(Status(status=403), workspace="zen", page=2, times=None)
        await world.sync()
    async with AsyncExitStack() as clients:
        yield Callers(
            world,
            anonymous=await clients.enter_async_context(world.client()),
            user=await clients.enter_async_context(world.client(world.api.user_token())),
            operator=await clients.enter_async_context(world.client(world.api.operator_token())),
            service=await clients.enter_async_context(world.client(key=world.api.secret_key)),
        )


async def may_call(client: AsyncClient, name: str, arguments: dict[str, None]) -> bool:
    """Whether the call passes the grants; that nothing was given it may well refuse."""
    try:
        await answered(client.rpc(name, arguments))
    except APIError as error:
        return error.code != DENIED
    return True


async def denied(client: AsyncClient, name: str, columns: str = "*") -> bool:
    try:
        await client.table(name).select(columns).limit(1).execute()
    except APIError as error:
        return error.code == DENIED
    return False


async def count(client: AsyncClient, name: str) -> int | None:
    answer = await client.table(name).select("*", count=CountMethod.exact).limit(1).execute()
    return answer.count
