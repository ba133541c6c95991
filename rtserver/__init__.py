"""Real-time events over plain HTTP, where WebSockets are blocked."""

__version__ = "0.1.0"
