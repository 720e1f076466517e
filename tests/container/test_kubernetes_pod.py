"""The Pods of docker/kubernetes, run by an engine with their rights, volumes, limits and configuration; no cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.containerapps import write
from tests.support.engine import Container, Engine
from tests.support.kustomize import build
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import CHECKOUT

OVERLAYS = CHECKOUT / "docker" / "kubernetes" / "overlays"
PATIENCE = 90.0
APP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getuid()}:{os.getgid()}".encode()]
"""


def options_of(overlay: str, place: Path) -> tuple[list[str], Any]:
    """What `docker run` is told for the overlay's one container, and the container as the manifest describes it."""
    resources = {resource["kind"]: resource for resource in build(OVERLAYS / overlay)}
    pod = resources["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user, security = pod["securityContext"], container["securityContext"]
    options = [
        "--user",
        f"{user['runAsUser']}:{user['runAsGroup']}",
        "--memory",
        _bytes(container["resources"]["limits"]["memory"]),
    ]
    options += [word for name in security["capabilities"]["drop"] for word in ("--cap-drop", name)]
    options += [word for name in security["capabilities"].get("add", ()) for word in ("--cap-add", name)]
    if not security["allowPrivilegeEscalation"]:
        options += ["--security-opt", "no-new-privileges"]
    if security["readOnlyRootFilesystem"]:
        options.append("--read-only")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "emptyDir" in volume:
            options += ["--tmpfs", f"{mount['mountPath']}:size={_bytes(volume['emptyDir']['sizeLimit'])},mode=1777"]
        else:
            options += ["-v", f"{_config_map(place / 'map', resources['ConfigMap']['data'])}:{mount['mountPath']}:ro"]
    return options, container


def _bytes(quantity: str) -> str:
    """`512Mi` as the engine writes it."""
    return quantity.removesuffix("i").lower()


def _config_map(folder: Path, data: dict[str, str]) -> Path:
    """A folder as the kubelet makes it: names are links through a link, which it switches."""
    write(folder / "..2026", data)
    (folder / "..data").symlink_to("..2026")
    for name in data:
        (folder / name).symlink_to(f"..data/{name}")
    folder.chmod(0o755)
    return folder


def probe(container: Container, name: str) -> int:
    """The HTTP status that the kubelet would get."""
    script = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:9180/{name}').status)"
    done = container.exec("/opt/passenger/bin/python", "-c", script, check=False)
    return int(done.stdout) if done.returncode == 0 else 503 if "503" in done.stderr else 0


@pytest.mark.parametrize(("overlay", "who"), [("prod", "9999:0"), ("users", "10002:10002")])
def test_a_pod_serves_and_leaves(engine: Engine, base: str, place: Path, overlay: str, who: str) -> None:
    """Its probes answer, its applications run as they should; on SIGTERM it is not ready at once, and serves on."""
    context = write(place / "image", {"passenger_wsgi.py": APP})
    (context / "Dockerfile").write_text(
        f"FROM {base}\nUSER 0\n"
        + "".join(f"COPY passenger_wsgi.py {to}/\n" for to in ("/app", "/srv/blog", "/srv/shop"))
    )
    engine.build("passenger-test/pod", context)
    options, _ = options_of(overlay, place)
    with engine.running("passenger-test/pod", options=options) as container:
        container.wait_ready()
        wait_until(lambda: probe(container, "readyz") == 200, "it is ready", timeout=PATIENCE)
        assert probe(container, "livez") == probe(container, "startupz") == 200
        assert container.fetch().text == who
        if overlay == "users":
            assert container.fetch("/blog/").text == "10001:10001"
        doctor = container.exec("passenger", "doctor", check=False).stdout
        assert "896 MB: limit of" in doctor, "1 GiB less two volumes in memory"
        with load(container.port, rate=20.0) as result:
            wait_until_count(result, 20)
            container.signal("TERM")
            container.wait_for("not ready any more")
            assert probe(container, "readyz") == 503
            wait_until_count(result, len(result.outcomes) + 20)
        assert [one.problem for one in result.failed] == [], "requests that came after SIGTERM are served"
        assert container.wait_exit() == 0


def test_a_config_map_that_is_switched_is_a_reload(engine: Engine, base: str, place: Path) -> None:
    """E7: with `reload_on_change` the Pod follows its ConfigMap, whose `..data` the kubelet switches."""
    options, _ = options_of("dev", place)
    options += ["-e", "PASSENGER__instances__main__watchdog__reload_on_change=true"]
    app = write(
        place / "app", {"passenger_wsgi.py": APP.replace('f"{os.getuid()}:{os.getgid()}"', 'os.environ["WORD"]')}
    )
    folder, text = place / "map", (place / "map" / "passenger.toml").read_text()
    (folder / "passenger.toml").write_text(text + 'env.WORD = "first"\n')
    with engine.running(base, options=[*options, "-v", f"{app}:/app:ro"]) as container:
        assert container.wait_ready().fetch().text == "first"
        write(folder / "..2027", {"passenger.toml": text + 'env.WORD = "second"\n'})
        (folder / "..data_tmp").symlink_to("..2027")
        (folder / "..data_tmp").rename(folder / "..data")
        container.wait_for("the configuration has changed: reloading")
        wait_until(lambda: container.fetch().text == "second", "the new value is served", timeout=PATIENCE)
        assert container.stop() == 0
