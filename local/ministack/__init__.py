"""Patches that close gaps of MiniStack 1.5.33, one per module.

A new version of MiniStack that changes the patched source does not start; see patches.py.
"""
