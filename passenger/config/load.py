"""`load`: one call from a file to a valid configuration or to everything that is wrong with it.

Rules.
1. Stages: reading (E1xx), shape (E2xx), contradictions (E3xx), this host (E4xx), the place where it is to run (E5xx).
   All mistakes of a stage are reported together; a later stage speaks only about parts in which no earlier one found a
   mistake.
2. `validate`, `start` and `reload` all go through here: what one accepts, the others accept. But root may
   validate what another user will start (`Host.only_looks`): a registry that is not root's keeps only root from it.
3. Nothing is written, bound or logged, and no right is needed but to read the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from passenger.config import cross, cross_dashboard, cross_limits, cross_telemetry, cross_times, cross_web, shape
from passenger.config.build import build
from passenger.config.diagnostics import Diagnostic
from passenger.config.document import Document, read
from passenger.config.findings import Findings
from passenger.config.model import Config
from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from passenger.config.host import Host
    from passenger.config.ports import OwnPorts
    from passenger.config.target import Target


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading. `config` is None exactly when one of the diagnostics is an error."""

    config: Config | None
    document: Document | None
    diagnostics: tuple[Diagnostic, ...]


def load(
    main: str | None,
    *,
    text: str | None = None,
    environ: Mapping[str, str],
    flags: Sequence[str] = (),
    cwd: str,
    host: Host | None,
    own_ports: OwnPorts | None = None,
    target: Target | None = None,
    read_secrets: bool | None = None,
    read_env_files: bool | None = None,
) -> Loaded:
    """Read and check a configuration.

    `host` None leaves out everything about this machine (`--no-environment`): secret files and env files are not opened
    either, unless `read_secrets` or `read_env_files` ask for it.
    `target` is where it is to run, when that is another place than this (E5xx).
    `own_ports` knows what running instances of this configuration listen on: those ports may be in use.
    """
    read_secrets = host is not None if read_secrets is None else read_secrets
    read_env_files = host is not None if read_env_files is None else read_env_files
    document, problems = read(main, text=text, environ=environ, flags=flags, cwd=cwd, read_secrets=read_secrets)
    if document is None:
        return Loaded(None, None, tuple(problems))
    findings = Findings(document, secrets_were_read=read_secrets)
    config = _check(document, findings, host, environ, own_ports, target, read_env_files=read_env_files)
    diagnostics = (*problems, *findings.found)
    failed = any(item.severity == "error" for item in diagnostics)
    return Loaded(None if failed else config, document, diagnostics)


def _check(
    document: Document,
    findings: Findings,
    host: Host | None,
    environ: Mapping[str, str],
    own_ports: OwnPorts | None,
    target: Target | None,
    *,
    read_env_files: bool,
) -> Config | None:
    if not shape.check(document, findings):
        return None
    built = build(document, findings, read_env_files=read_env_files)
    cross.check(document, built, findings)
    cross_limits.check(document, built, findings)
    cross_times.check(document, built, findings)
    cross_dashboard.check(built, findings)
    cross_telemetry.check(document, built, findings)
    cross_web.check(document, built, findings)
    if host is not None:
        from passenger.config.host import check

        check(document, built, findings, host=host, environ=environ, own_ports=own_ports)
    if target is not None:
        from passenger.config.target_checks import TargetChecks

        TargetChecks(document, built, findings, target).check()
    return built.config
