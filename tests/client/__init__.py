"""The Python client: its pure parts row by row, and all of it against real servers, proxies and kills."""
