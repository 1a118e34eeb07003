"""Patches that close gaps of MiniStack 1.5.33.

Each module closes one gap. tests/integration/test_ministack_gaps.py fails when a new version of
MiniStack closes it; then the module can go.
"""
