"""What the handlers of one server share."""

from __future__ import annotations

from tornado.web import Application, RequestHandler

from rtserver.auth import Authenticator
from rtserver.config import Config
from rtserver.hub import Hub
from rtserver.limits import Limiter
from rtserver.tickets import Tickets


class Api(Application):
    """The routes, and what their handlers share."""

    def __init__(
        self, routes: list[tuple[str, type[RequestHandler]]], hub: Hub, auth: Authenticator, config: Config
    ) -> None:
        self.hub = hub
        self.auth = auth
        self.config = config
        self.tickets = Tickets(config.ticket_ttl, config.max_tickets)
        self.request_limiter = Limiter(config.rate_limit)
        self.stream_limiter = Limiter(config.stream_rate_limit)
        # A whole branch sits behind one address: only what has no valid token is counted by it.
        self.address_limiter = Limiter(config.rate_limit)
        super().__init__(list(routes))
