"""The simulated world: what replaces clock, disk and network when schedules run from a seed."""
