"""A fleet: the production variants of one endpoint configuration, with all their instances."""

import asyncio
import random
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

from local_sagemaker.errors import runtime_validation
from local_sagemaker.hosting.variants import Host, Variant, stop_instances


class Fleet:
    """What serves an endpoint; an update replaces it as a whole."""

    def __init__(self, plans: list[dict[str, Any]], host: Host, *, on_loss: Callable[["Fleet", str], None]) -> None:
        """Describe a fleet by the plans of the endpoint's record; ``start`` brings it up.

        ``on_loss`` is called with the fleet and the reason when a variant has lost all its instances.
        """
        self.host = host
        self.variants = [Variant(plan, host, on_loss=partial(on_loss, self)) for plan in plans]
        self._counts = {plan["VariantName"]: plan["DesiredInstanceCount"] for plan in plans}

    def adopt(self) -> None:
        """Let the instances have the disks that an earlier server left, and delete those that have no use."""
        names = {variant.name for variant in self.variants}
        for folder in self.host.folder.iterdir() if self.host.folder.is_dir() else ():
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)
        for variant in self.variants:
            variant.adopt(self._counts[variant.name])

    async def start(self) -> None:
        """Start all instances; if one does not come up its error is raised, and ``stop`` ends the others."""
        await self.rescale(self._counts)

    async def rescale(self, counts: dict[str, int]) -> None:
        """Change the numbers of instances, by variant, while calls are answered.

        Raises:
            Exception: If a new instance does not come up; the others serve on.
        """
        results = await asyncio.gather(
            *(variant.scale(counts[variant.name]) for variant in self.variants), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            raise errors[0]

    async def stop(self, *, drain: bool, keep_disks: bool = False) -> None:
        """End all instances, after their calls if ``drain`` is set; the next server may find their models."""
        instances = [instance for variant in self.variants for instance in variant.instances]
        await stop_instances(instances, drain=drain, keep_disks=keep_disks)

    def choose(self, target_variant: str) -> Variant:
        """Return the variant that a call is for: the named one, which must be there, else one by weight."""
        if not target_variant and len(self.variants) == 1:
            return self.variants[0]
        if not target_variant:
            weights = [variant.weight for variant in self.variants]
            return random.choices(self.variants, weights=weights if any(weights) else None)[0]
        for variant in self.variants:
            if variant.name == target_variant:
                return variant
        raise runtime_validation(f"Endpoint {self.host.endpoint} has no production variant {target_variant!r}.")
