"""Which proxies there are: how each is started from its file, and what it needs around that file to run beside others.

The directives that matter to clients are in the files, ``default`` and docs/proxies, and nowhere here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.networks.proxies.real import RealProxy, find, read
from tests.peers import free_port


class Nginx(RealProxy):
    """nginx; the file is what Debian's nginx.conf includes from conf.d."""

    name, file, package, program = "nginx", "nginx.conf", "nginx-core", find("nginx")
    listens = ("listen 80;", "listen 127.0.0.1:{port};")
    _AROUND = """\
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    gzip on;
    include {directory}/{file};
}}
"""

    def _write(self) -> None:
        super()._write()
        (self.directory / "main.conf").write_text(self._AROUND.format(directory=self.directory, file=self.file))

    def command(self) -> list[str]:
        return [str(self.program), "-p", str(self.directory), "-c", str(self.directory / "main.conf"), "-e", "stderr"]


class HAProxy(RealProxy):
    """HAProxy; the file is a whole haproxy.cfg."""

    name, file, package, program = "HAProxy", "haproxy.cfg", "haproxy", find("haproxy")
    listens = ("bind :80", "bind 127.0.0.1:{port}")

    def command(self) -> list[str]:
        return [str(self.program), "-db", "-f", str(self.directory / self.file)]


class Httpd(RealProxy):
    """Apache httpd; the file is a site of Debian's, with the modules that Debian loads by itself around it."""

    name, file, package, program = "Apache httpd", "httpd.conf", "apache2-bin", find("apache2")
    listens = ("*:80", "127.0.0.1:{port}")
    _MODULES = "mpm_event authz_core reqtimeout setenvif env filter deflate headers proxy proxy_http"
    _AROUND = """\
ServerRoot "/usr/lib/apache2"
ServerName localhost
PidFile {directory}/pid
DefaultRuntimeDir {directory}
Mutex file:{directory}
ErrorLog {directory}/error.log
CustomLog {directory}/access.log "%h %t \\"%r\\" %>s %b"
{modules}
User {account}
Group {account}
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
RequestReadTimeout header=20-40,minrate=500 body=10,minrate=500
AddOutputFilterByType DEFLATE text/html text/plain text/xml text/css text/javascript application/javascript
Listen 127.0.0.1:{port}
Include {directory}/{file}
"""

    def _write(self) -> None:
        super()._write()
        modules = "\n".join(f"LoadModule {name}_module modules/mod_{name}.so" for name in self._MODULES.split())
        settings = {"directory": self.directory, "port": self.port, "file": self.file, "modules": modules}
        around = self._AROUND.format(account="www-data", **settings)
        (self.directory / "main.conf").write_text(around)

    def command(self) -> list[str]:
        return [str(self.program), "-DFOREGROUND", "-f", str(self.directory / "main.conf")]


class Caddy(RealProxy):
    """Caddy; the file is a whole Caddyfile."""

    name, file, package, program = "Caddy", "Caddyfile", "caddy", find("caddy")
    asks_version = "version"
    listens = ("http://:80", "http://:{port}")

    def configuration(self) -> str:
        # Otherwise it listens for orders, all of them on the same port.
        return "{\n\tadmin off\n\tauto_https off\n}\n" + super().configuration()

    def command(self) -> list[str]:
        configuration = str(self.directory / self.file)
        own = [f"{name}={self.directory}" for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")]
        return ["env", *own, str(self.program), "run", "--config", configuration, "--adapter", "caddyfile"]


class Squid(RealProxy):
    """Squid, the proxy of many a bank: ``proxy_url`` for clients that use a proxy, ``url`` as a reverse proxy.

    As a reverse proxy it has in both kinds the few lines that it cannot be one without.
    """

    name, file, package, program = "Squid", "squid.conf", "squid", find("squid")
    account = "proxy"
    reverse_file = "squid-reverse.conf"
    _AROUND = """\
pid_filename {directory}/squid.pid
cache_log {directory}/cache.log
access_log stdio:{directory}/access.log
cache_store_log none
coredump_dir {directory}
shutdown_lifetime 0 seconds
cache_effective_user {account}
hosts_file {directory}/hosts
"""
    # A name of its own for this machine: some clients use no proxy for the usual ones.
    hosts = "127.0.0.1 localhost rt.example\n"

    def __init__(self, upstream_port: int, directory: Path | None = None, kind: str = "recommended") -> None:
        # It refuses to be root, and its account must get to its files: tests keep theirs where only root does.
        super().__init__(upstream_port, None if os.getuid() == 0 else directory, kind)
        self.proxy_port = 0

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.proxy_port}"

    def configuration(self) -> str:
        own = {"http_port 80 ": f"http_port 127.0.0.1:{self.port} ", "parent 8080 ": f"parent {self.upstream_port} "}
        forward = read(self.kind, self.file, {"http_port 3128": f"http_port 127.0.0.1:{self.proxy_port}"})
        return read("recommended", self.reverse_file, own) + forward

    def _write(self) -> None:
        self.proxy_port = free_port()
        if os.getuid() == 0:
            self.directory.chmod(0o755)
            shutil.chown(self.directory, self.account)
        (self.directory / "hosts").write_text(self.hosts)
        around = self._AROUND.format(directory=self.directory, account=self.account)
        (self.directory / self.file).write_text(around + self.configuration())

    def command(self) -> list[str]:
        return [str(self.program), "-N", "-n", self._service, "-f", str(self.directory / self.file)]

    @property
    def _service(self) -> str:
        """Its own name: what it shares in memory has that in front."""
        return f"rtserver{self.port}"

    def _end(self) -> None:
        super()._end()
        # It takes two seconds to go by itself, and is not given them.
        for left in Path("/dev/shm").glob(f"{self._service}-*"):
            left.unlink(missing_ok=True)


PROXIES: dict[str, type[RealProxy]] = {
    "squid": Squid,
    "nginx": Nginx,
    "haproxy": HAProxy,
    "httpd": Httpd,
    "caddy": Caddy,
}
