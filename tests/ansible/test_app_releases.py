"""passenger_app without a Passenger: sources, what is installed, how many releases stay, the end of an application."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployments import Deployment, changed
from tests.support.running import CHECKOUT

FIRST = str(CHECKOUT / "tests" / "ansible" / "play_app_first.yml")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def blog() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="pp", dir="/var/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        yield Deployment(place)


def repository(folder: Path) -> None:
    """A Git repository of nobody's with three tags, of which the last has another package.json."""
    folder.mkdir()
    os.chown(folder, 65534, 65534)

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        subprocess.run(
            [*AS_NOBODY, "git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=60,
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        )  # fmt: skip

    git("init", ".")
    for number in (1, 2, 3):
        (folder / "version").write_text(f"v{number}")
        package = {"name": "blog", "version": "1.0.0", "description": "three" if number == 3 else ""}
        (folder / "package.json").write_text(json.dumps(package))
        (folder / "requirements.txt").write_text("# nothing\n")
        git("add", ".")
        git("commit", "-m", f"v{number}")
        git("tag", f"v{number}")


def test_releases_of_a_repository_share_what_they_install_and_the_oldest_go(
    blog: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag is made once; the second reuses both environments, the third one of them; two releases stay."""
    repository(blog.place / "git")
    environments = blog.root / "environments"
    seen = []
    for seed, tag in (("1", "v1"), ("2", "v2"), ("1", "v3")):
        monkeypatch.setenv("PYTHONHASHSEED", seed)  # sets of the two names have another order with each of them
        source = {"type": "git", "repo": str(blog.place / "git"), "version": tag}
        played = blog.play(
            FIRST, "", source, install=["auto"], keep=2, secrets=[{"path": "etc/key", "content": "hush"}]
        )
        assert played.status == 0, played.output[-4000:]
        assert "hush" not in played.output
        assert (blog.root / "current" / "version").read_text() == tag
        assert (blog.root / "current" / "etc" / "key").read_text() == "hush"
        seen.append({path.name for path in environments.iterdir()})
    assert seen[0] == seen[1]
    assert len(seen[2] - seen[1]) == 1, "package.json is another one, requirements.txt is not"
    assert len(list((blog.root / "releases").iterdir())) == len(list((blog.root / "made").iterdir())) == 2
    assert (blog.root / "current" / ".venv" / "bin" / "python").exists()
    owners = {name: (blog.root / name).lstat().st_uid for name in ("current", "made", "releases", "shared")}
    assert owners == {"current": 0, "made": 0, "releases": 65534, "shared": 65534}


def test_what_goes_leaves_data_unless_it_is_told_to(blog: Deployment) -> None:
    """Here it came from a zip archive."""
    archive = blog.place / "one.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("passenger_wsgi.py", "")
    played = blog.play(FIRST, "one", {"type": "archive", "src": str(archive)})
    assert played.status == 0, played.output[-4000:]
    assert (blog.root / "current" / "passenger_wsgi.py").exists()
    (blog.root / "shared" / "media" / "picture").write_text("of somebody")
    gone = blog.play(FIRST, "", {}, state="absent")
    assert gone.status == 0, gone.output[-4000:]
    assert sorted(path.name for path in blog.root.iterdir()) == ["home", "shared"]
    assert changed(blog.play(FIRST, "", {}, state="absent")) == 0
    assert blog.play(FIRST, "", {}, state="absent", purge=True).status == 0
    assert not blog.root.exists()
