"""Changes to MiniStack's behaviour, each until MiniStack has it."""
