"""From the text of a manifest to the Target that it describes."""

from __future__ import annotations

from passenger.config.manifest import ManifestError
from passenger.config.target import Kind, Target


def described(kind: Kind, text: str, file: str, service: str | None) -> Target:
    """The place that a manifest promises. Raises ManifestError."""
    if kind == "kubernetes":
        from passenger.config.manifest_kubernetes import read_kubernetes

        return read_kubernetes(text, file, service)
    if kind == "container":
        from passenger.config.manifest_compose import read_compose

        return read_compose(text, file, service)
    from passenger.config.manifest_systemd import read_systemd

    if service is not None:
        raise ManifestError(
            "E502", f"{file} is one unit: there is nothing to choose", help_text="leave `--service` out"
        )
    return read_systemd(text, file)
