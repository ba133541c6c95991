"""Planted defects, one per promise and more: each must turn its named test red, or that test proves nothing."""
