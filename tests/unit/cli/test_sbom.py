"""The bill of materials: what is in it, what is not, in the form that scanners read."""

from __future__ import annotations

import json

from click.testing import CliRunner

from passenger.cli.sbom import debian_components, sbom

STATUS = """\
Package: nginx
Status: install ok installed
Architecture: amd64
Version: 1:1.26.3-3+deb13u1
Description: small,
 powerful

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


def test_what_passenger_needs_is_in_it_and_tools_of_developers_are_not() -> None:
    done = CliRunner().invoke(sbom, ["--no-system"])
    assert done.exit_code == 0, done.output
    bill = json.loads(done.output)
    names = {component["name"] for component in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert {"click", "uvloop", "rich", "markdown-it-py"} <= names  # the last one is needed by rich
    assert not {"pytest", "mypy", "passenger-in-python"} & names
    for component in bill["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
    references = [component["bom-ref"] for component in bill["components"]]
    assert references == sorted(set(references))


def test_installed_packages_of_debian() -> None:
    (found,) = debian_components(STATUS)
    assert found["version"] == "1:1.26.3-3+deb13u1"
    assert found["purl"] == "pkg:deb/debian/nginx@1%3A1.26.3-3%2Bdeb13u1?arch=amd64"
