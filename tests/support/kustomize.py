"""As much of kustomize as docker/kubernetes uses: resources, generated ConfigMaps with a hash in their name, patches.

Debian 12 has no kubectl that knows these files; where there is a newer one, a test compares the two.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

KNOWN = {"apiVersion", "kind", "resources", "configMapGenerator", "patches"}
BY_NAME = {"containers", "volumes", "env"}
BY_KEY = {"ports": "containerPort", "volumeMounts": "mountPath", "topologySpreadConstraints": "topologyKey"}


def build(folder: Path) -> list[Resource]:
    """What `kubectl kustomize FOLDER` prints, in the order in which the files name it."""
    resources = _layers(folder)
    names = {}
    for resource in resources:
        if resource["kind"] == "ConfigMap":
            old = resource["metadata"]["name"]
            names[old] = resource["metadata"]["name"] = f"{old}-{hash_of(resource)}"

    def renamed(node: Any) -> None:
        if "configMap" in node:
            node["configMap"]["name"] = names[node["configMap"]["name"]]

    for resource in resources:
        _walk(resource, renamed)
    return resources


def _layers(folder: Path) -> list[Resource]:
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(told) <= KNOWN, f"the builder of the tests does not know {set(told) - KNOWN}"
    resources: list[Resource] = []
    for name in told["resources"]:
        place = folder / name
        resources += _layers(place) if place.is_dir() else list(yaml.safe_load_all(place.read_text()))
    for generated in told.get("configMapGenerator", ()):
        data = {name: (folder / name).read_text() for name in generated["files"]}
        found = [one for one in resources if one["kind"] == "ConfigMap"]
        assert bool(found) == (generated.get("behavior") == "replace")
        metadata = {"name": generated["name"]}
        resources = [one for one in resources if one not in found]
        resources.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for patch in told.get("patches", ()):
        change = yaml.safe_load((folder / patch["path"]).read_text())
        (target,) = [one for one in resources if _identity(one) == _identity(change)]
        resources[resources.index(target)] = _merged(target, change)
    return resources


def _identity(resource: Resource) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def _merged(old: Any, new: Any, key: str = "") -> Any:
    """A strategic merge: tables merge, lists of named things merge by name, all else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        return {
            name: _merged(old[name], new[name], name)
            if name in old and name in new
            else copy.deepcopy(new.get(name, old.get(name)))
            for name in names
        }
    by = "name" if key in BY_NAME else BY_KEY.get(key)
    if by is None or not isinstance(old, list):
        return copy.deepcopy(new)
    changes = {item[by]: item for item in new}
    kept = [_merged(item, changes.pop(item[by])) if item[by] in changes else item for item in old]
    return [*changes.values(), *kept]


def hash_of(resource: Resource) -> str:
    """Of kustomize: ten digits, those replaced that could spell words."""
    known = {"data": resource["data"], "kind": "ConfigMap", "name": ""}  # the name it has before it has one
    text = json.dumps(known, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for character, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(character, escape)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return digest.translate(str.maketrans("013ae", "ghkmt"))


def _walk(node: Any, visit: Callable[[Any], None]) -> None:
    if isinstance(node, dict):
        visit(node)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _walk(child, visit)
