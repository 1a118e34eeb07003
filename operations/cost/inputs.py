"""Everything that the calculation reads: prices, assumptions, the template and the definitions."""

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.settings import ROOT
from operations.cost import workflow
from operations.cost.workflow import CostError

SINGLE = "MyStateMachine.asl.json"
BATCH = "MyBatchStateMachine.asl.json"
PRICES = Path(__file__).with_name("prices.toml")
ASSUMPTIONS = Path(__file__).with_name("assumptions.toml")

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
class Price:
    """US dollars for one unit of the billed item, with the source and its stored copy that was read."""

    usd: float
    unit: str
    item: str
    source: str
    copy: str


@dataclass(frozen=True)
class Assumption:
    """An assumed number and the reason for it."""

    value: float
    unit: str
    reason: str


@dataclass(frozen=True)
class Inputs:
    """Prices and assumptions by name, and what is deployed."""

    prices: dict[str, Price]
    prices_read_on: str  # YYYY-MM-DD
    assumptions: dict[str, Assumption]
    resources: dict[str, Any]  # of the template, by logical id
    single: dict[str, Any]  # definition of MyStateMachine
    batch: dict[str, Any]  # definition of MyBatchStateMachine
    definition_bytes: dict[str, int]  # by file name

    def assume(self, name: str) -> float:
        """Return the value of an assumption."""
        return self.assumptions[name].value

    def with_assumption(self, name: str, value: float) -> "Inputs":
        """Return the inputs with another value for one assumption."""
        changed = replace(self.assumptions[name], value=value)
        return replace(self, assumptions=self.assumptions | {name: changed})

    @property
    def accepted(self) -> workflow.Path:
        """The path of an accepted picture."""
        return workflow.follow(self.single, ACCEPTED)

    @property
    def review(self) -> workflow.Path:
        """The path of a picture that goes to review."""
        return workflow.follow(self.single, REVIEW)

    @property
    def distributed_map(self) -> dict[str, Any]:
        """The Map state that starts the children."""
        return dict(workflow.map_state(self.batch["States"].values(), "DISTRIBUTED"))

    @property
    def batch_size(self) -> int:
        """Pictures per child."""
        return int(self.distributed_map.get("ItemBatcher", {}).get("MaxItemsPerBatch", 1))

    @property
    def concurrent_children(self) -> int:
        """Children that run at the same time."""
        return int(self.distributed_map["MaxConcurrency"])

    @property
    def child(self) -> workflow.Path:
        """The path of a child, with the Map over its pictures as one state."""
        return workflow.follow(self.distributed_map["ItemProcessor"], CHILD)

    @property
    def iteration(self) -> workflow.Path:
        """The path of one picture within a child."""
        inline_map = workflow.map_state(self.child.states, "INLINE")
        return workflow.follow(inline_map["ItemProcessor"], ITERATION)

    @property
    def parent(self) -> workflow.Path:
        """The path of the batch machine itself."""
        return workflow.follow(self.batch, PARENT)

    def memory_gb(self, function: str) -> float:
        """Return a function's memory in GB."""
        return float(self.resources[function]["Properties"]["MemorySize"]) / 1024

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the properties of the template's resources of that type."""
        return [r["Properties"] for r in self.resources.values() if r["Type"] == kind]

    def log_level(self, machine: str) -> str:
        """Return ALL, ERROR, FATAL or OFF for the logical id of a state machine."""
        return str(self.resources[machine]["Properties"].get("Logging", {}).get("Level", "OFF"))

    def traced(self, machine: str) -> bool:
        """Return whether X-Ray traces the executions of a state machine, given by its logical id."""
        return bool(self.resources[machine]["Properties"].get("Tracing", {}).get("Enabled", False))


def read_inputs(root: Path = ROOT) -> Inputs:
    """Read the deployed files below `root`, and the prices and assumptions beside this module.

    Raises:
        CostError: a file is missing, cannot be parsed, or an entry lacks a field.
    """
    from samcli.yamlhelper import yaml_parse

    try:
        template = yaml_parse((root / "template.yaml").read_text(encoding="utf-8"))
        texts = {n: (root / "statemachine" / n).read_text(encoding="utf-8") for n in (SINGLE, BATCH)}
        definitions = {name: json.loads(text) for name, text in texts.items()}
    except (OSError, ValueError) as error:
        raise CostError(f"cannot read the deployed files: {error}") from error
    prices = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    prices_read_on = str(prices.pop("read_on"))
    return Inputs(
        {name: _entry(Price, PRICES, name, fields) for name, fields in prices.items()},
        prices_read_on,
        {
            name: _entry(Assumption, ASSUMPTIONS, name, fields)
            for name, fields in tomllib.loads(ASSUMPTIONS.read_text(encoding="utf-8")).items()
        },
        template["Resources"],
        definitions[SINGLE],
        definitions[BATCH],
        {name: len(text.encode()) for name, text in texts.items()},
    )


def _entry(kind: Any, path: Path, name: str, fields: dict[str, Any]) -> Any:
    try:
        return kind(**fields)
    except TypeError as error:
        raise CostError(f"{path.name}: [{name}] needs exactly {', '.join(kind.__dataclass_fields__)}") from error
