"""`passenger sbom`: what this installation is made of, as CycloneDX. Read from the metadata of what is installed.

Rules.
1. Said live, never from a file: an image that adds packages does not lie.
2. Python: Passenger and what it needs, directly or not; not whatever else lies in the same environment.
3. Debian's packages are the host's own affair, so they are listed where they belong to what we ship (an image), or when
   asked for.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from passenger import __version__
from passenger.cli.options import examples
from passenger.errors import HostError

NAME: Final = "passenger-in-python"
IN_IMAGE: Final = "share/passenger/sbom.cdx.json"
"""Below the prefix of the interpreter: the copy that an image carries for tools that scan without running it."""
DPKG_STATUS: Final = Path("/var/lib/dpkg/status")


@click.command(epilog=examples("passenger sbom", "passenger sbom --system > sbom.cdx.json"))
@click.option(
    "--system/--no-system",
    default=None,
    help="Also list the Debian packages of this system.  [default: in the container images]",
)
def sbom(*, system: bool | None) -> int:
    """Print the software bill of materials (CycloneDX 1.5, JSON) of this installation."""
    wanted = (Path(sys.prefix) / IN_IMAGE).exists() if system is None else system
    components = list(python_components())
    if wanted:
        components += debian_components(_status())
    print(json.dumps(document(components), indent=1))
    return 0


def document(components: list[dict[str, Any]]) -> dict[str, Any]:
    """The bill: the same installation gives the same text."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": NAME, "version": __version__, "bom-ref": NAME}},
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
    }


def python_components() -> Iterator[dict[str, Any]]:
    """What Passenger needs and is installed. Raises HostError when Passenger itself is not installed."""
    waiting, seen = [NAME], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name == NAME:
                raise HostError(f"{NAME} is not installed", hint="run it from an environment made by pip") from None
            continue  # needed on other platforms only
        needed = (text for text in found.requires or () if not re.search(r";.*\bextra\b", text))
        waiting += [_normal(_requirement_name(text)) for text in needed]
        if name != NAME:
            yield _python_component(name, found)


def _python_component(name: str, found: importlib.metadata.Distribution) -> dict[str, Any]:
    reference = f"pkg:pypi/{name}@{found.version}"
    component: dict[str, Any] = {"type": "library", "bom-ref": reference, "name": name, "version": found.version}
    component["purl"] = reference
    facts = found.metadata
    if "License-Expression" in facts:
        component["licenses"] = [{"expression": facts["License-Expression"]}]
    elif named := _licence("".join(facts.get_all("License") or []), facts.get_all("Classifier") or []):
        component["licenses"] = [{"license": {"name": named}}]
    return component


def debian_components(status: str) -> Iterator[dict[str, Any]]:
    """Installed packages, from the text of dpkg's status file."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+): *(.*)$", paragraph))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        reference = f"pkg:deb/debian/{name}@{_escaped(version)}?arch={fields['Architecture']}"
        yield {"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference}


def _status() -> str:
    try:
        return DPKG_STATUS.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise HostError(
            f"the packages of this system cannot be listed: {DPKG_STATUS}: {error.strerror}",
            hint="only Debian's own are known; leave out `--system`",
        ) from error


def _requirement_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found.group() if found else requirement


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(field: str, classifiers: list[str]) -> str:
    """Some put the whole text of a licence into the field: then the classifier names it better."""
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    return named[0] if named else field.strip() if "\n" not in field.strip() else ""


def _escaped(version: str) -> str:
    """As package URLs want it."""
    table: Mapping[int, str] = str.maketrans({"+": "%2B", "~": "~", ":": "%3A"})
    return version.translate(table)
