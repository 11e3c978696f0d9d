"""How a job over records is run. None of these keys can change a byte, so an output folder does not remember them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from common.config import Section
from common.engines import Engine, LocalEngine
from common.ray_engine import RayEngine
from common.shards import Shard, parse_shard


def _readable_shard(text: str) -> str:
    parse_shard(text)
    return text


class EngineSection(Section):
    """Keys of every job whose records may be spread over machines; left out (`exclude`) where settings are compared."""

    engine: Literal["local", "ray"] = Field(
        "local", exclude=True, description="local: processes of this machine; ray: a Ray cluster, requirements-ray.txt"
    )
    ray_address: str | None = Field(
        None,
        exclude=True,
        description="host:port of the cluster; auto: the one this machine belongs to; null: one is started here",
    )
    shard: Annotated[str, AfterValidator(_readable_shard)] | None = Field(
        None, exclude=True, description="do only this part of the records, e.g. 3/16; null: all, and take parts over"
    )

    def build_engine(self, *, processes: int) -> Engine:
        """Return what does the records.

        Args:
            processes: workers on this machine; a cluster that runs already has its own number.
        """
        if self.engine == "ray":
            return RayEngine(self.ray_address, processes)
        return LocalEngine(processes)

    def part(self) -> Shard | None:
        """Return the part of the records to do, None for all."""
        return None if self.shard is None else parse_shard(self.shard)
