"""Hostile pictures: files that a picture workflow must refuse or survive."""
