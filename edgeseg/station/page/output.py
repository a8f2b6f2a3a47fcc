"""The page as an output of the station: opened by the gateway from [page] of the station's file."""

import socket
from contextlib import ExitStack

from edgeseg.errors import ConfigError
from edgeseg.log import log
from edgeseg.station.config import PAGE, PageConfig
from edgeseg.station.outputs.address import cannot_listen, host_port
from edgeseg.station.outputs.base import Indicator, OutputContext, StationState
from edgeseg.station.page.access import (
    Access,
    KnownHosts,
    Tokens,
    is_loopback,
    kept_tokens,
)
from edgeseg.station.page.handler import PageHandler
from edgeseg.station.page.labels import PartLabels
from edgeseg.station.page.live import LivePictures
from edgeseg.station.page.server import PageServer, tls_context
from edgeseg.station.page.site_state import SiteState


class PageOutput(Indicator):
    """Serves the page, and shows it the newest state."""

    Settings = PageConfig
    settings: PageConfig

    def __init__(self, settings: PageConfig, context: OutputContext) -> None:
        """ConfigError: the address, or the files for TLS. WriteError: the tokens."""
        super().__init__(settings, context)
        self._address = host_port(settings.address, PAGE)
        self._tls = None
        if bool(settings.certificate) != bool(settings.key):
            raise ConfigError(
                "page: certificate and key belong together (found one of them)",
                remedy="name both, or none, in [page]",
                code="station/page-tls",
            )
        if settings.certificate:
            base = context.base
            self._tls = tls_context(base / settings.certificate, base / settings.key)
        self._tokens = None if is_loopback(self._address[0]) else self._made_tokens()
        self._stack = ExitStack()
        self.site: SiteState | None = None
        self.server: PageServer | None = None

    def open(self) -> None:
        with ExitStack() as stack:
            labels = stack.enter_context(PartLabels(self.context.folder))
            live = stack.enter_context(LivePictures(self.context.folder, self.context.cameras))
            site = stack.enter_context(SiteState(self.context, labels, live))
            server = self._serving(site)
            stack.callback(server.end)
            stack.callback(site.close)
            self._stack = stack.pop_all()
        self.site, self.server = site, server
        if not self.context.trial:
            log.info(f"page: {self._url()}/")

    def show(self, state: StationState) -> None:
        assert self.site is not None
        self.site.show(state)

    def close(self) -> None:
        self._stack.close()
        self.site = self.server = None

    def _serving(self, site: SiteState) -> PageServer:
        host, port = self._address
        try:
            return PageServer(
                self._address,
                PageHandler,
                site=site,
                access=Access(self._tokens, f"edgeseg-{port}"),
                hosts=KnownHosts(host, self.settings.hosts),
                tls=self._tls,
            )
        except OSError as error:
            raise cannot_listen(host, port, error) from error

    def _url(self) -> str:
        host, port = self._address
        if self.server is not None:
            port = self.server.server_port
        host = socket.gethostname() if host in ("0.0.0.0", "::") else host
        host = f"[{host}]" if ":" in host else host
        return f"http{'s' if self._tls else ''}://{host}:{port}"

    def _made_tokens(self) -> Tokens:
        """Return the tokens; new ones are told once, on standard error."""
        self.server = None
        tokens, new = kept_tokens(self.context.folder)
        if new:
            log.info(f"page, to operate:  {self._url()}/#{tokens.operate}")
            log.info(f"page, to look:     {self._url()}/#{tokens.view}")
            log.info("these addresses hold the tokens, and are not shown again")
        if self._tls is None:
            log.warning(
                "the page is served to other machines without encryption: who can read the network "
                "can read its token; certificate and key in [page] encrypt it"
            )
        return tokens
