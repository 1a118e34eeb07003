"""Pictures of a state machine, from its ASL file and from the histories of its executions."""

from operations.workflow_drawing.execution import ExecutionPath, error_counts, transition_counts
from operations.workflow_drawing.history import read_path
from operations.workflow_drawing.states import read_definition
from operations.workflow_drawing.svg import draw

__all__ = ["ExecutionPath", "draw", "error_counts", "read_definition", "read_path", "transition_counts"]
