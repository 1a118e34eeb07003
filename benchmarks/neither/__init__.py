"""Pictures of neither class: how many are accepted."""
