"""Everything that the calculation reads: prices, assumptions, the template and the definitions."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.cost import tables, workflow
from operations.cost.errors import CostError

ROOT = Path(__file__).resolve().parents[2]
SINGLE = "MyStateMachine.asl.json"
BATCH = "MyBatchStateMachine.asl.json"

ACCEPTED = {"Is Accepted": "Record Prediction"}
REVIEW = {"Is Accepted": "Claim Review"}
CHILD = {"Is Any Picture Decided": "Batch Done"}
ITERATION = {"Is Somebody Told": "Picture Done"}
PARENT = {
    "Are These Pictures": "Classify Every Picture",
    "Has Map Run": "Count Pictures Found",
    "Is Every Picture Accounted For": "Batch Finished",
}


@dataclass(frozen=True)
class Inputs:
    """Facts, assumptions and what is deployed."""

    prices: dict[str, tables.Price]
    assumptions: dict[str, tables.Assumption]
    resources: dict[str, Any]
    single: dict[str, Any]
    batch: dict[str, Any]
    definition_bytes: dict[str, int]

    def assume(self, name: str) -> float:
        """Return the value of an assumption."""
        return self.assumptions[name].value

    @property
    def accepted(self) -> workflow.Path:
        """The path of a picture whose answer is accepted."""
        return workflow.follow(self.single, ACCEPTED)

    @property
    def review(self) -> workflow.Path:
        """The path of a picture that goes to the review queue."""
        return workflow.follow(self.single, REVIEW)

    @property
    def distributed_map(self) -> dict[str, Any]:
        """The Map state that starts the children."""
        return dict(workflow.map_state(self.batch["States"].values(), "DISTRIBUTED"))

    @property
    def child(self) -> workflow.Path:
        """The path of a child, the Map over its pictures being one state."""
        return workflow.follow(self.distributed_map["ItemProcessor"], CHILD)

    @property
    def inline_map(self) -> dict[str, Any]:
        """The Map state over the pictures of one child."""
        return dict(workflow.map_state(self.child.states, "INLINE"))

    @property
    def iteration(self) -> workflow.Path:
        """What a child does with each of its pictures."""
        return workflow.follow(self.inline_map["ItemProcessor"], ITERATION)

    @property
    def parent(self) -> workflow.Path:
        """The path of the batch machine itself."""
        return workflow.follow(self.batch, PARENT)

    @property
    def batch_size(self) -> int:
        """Pictures per child."""
        return int(self.distributed_map.get("ItemBatcher", {}).get("MaxItemsPerBatch", 1))

    @property
    def children_at_once(self) -> int:
        """Children that run at the same time."""
        return int(self.distributed_map["MaxConcurrency"])

    def memory_gb(self, function: str) -> float:
        """Return a function's memory in GB."""
        return float(self.resources[function]["Properties"]["MemorySize"]) / 1024

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the properties of the template's resources of that type."""
        return [r["Properties"] for r in self.resources.values() if r["Type"] == kind]

    def machine(self, name: str) -> dict[str, Any]:
        """Return the properties of a state machine, by its logical id."""
        return dict(self.resources[name]["Properties"])

    def log_level(self, machine: str) -> str:
        """Return ALL, ERROR, FATAL or OFF."""
        return str(self.machine(machine).get("Logging", {}).get("Level", "OFF"))

    def traced(self, machine: str) -> bool:
        """Tell whether X-Ray traces the machine's executions."""
        return bool(self.machine(machine).get("Tracing", {}).get("Enabled", False))


def read_inputs(root: Path = ROOT) -> Inputs:
    """Read everything below the repository's root.

    Raises:
        CostError: a file is missing or cannot be read.
    """
    from samcli.yamlhelper import yaml_parse

    try:
        template = yaml_parse((root / "template.yaml").read_text(encoding="utf-8"))
        texts = {n: (root / "statemachine" / n).read_text(encoding="utf-8") for n in (SINGLE, BATCH)}
        definitions = {name: json.loads(text) for name, text in texts.items()}
    except (OSError, ValueError) as error:
        raise CostError(f"cannot read what is deployed: {error}") from error
    return Inputs(
        prices=tables.read_prices(),
        assumptions=tables.read_assumptions(),
        resources=template["Resources"],
        single=definitions[SINGLE],
        batch=definitions[BATCH],
        definition_bytes={name: len(text.encode()) for name, text in texts.items()},
    )
