"""passenger_app and the playbooks deploy, rolling and rollback, with a Passenger that serves on this machine meanwhile."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployments import Deployment, changed
from tests.support.http import fetch
from tests.support.installation import install
from tests.support.running import CHECKOUT, RunningInstance, free_port

FIRST = str(CHECKOUT / "tests" / "ansible" / "play_app_first.yml")
CONFIGURATION = """\
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[apps.blog]
app_root = "{root}/current"
user = "nobody"
group = "nogroup"
min_instances = 2
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def blog() -> Iterator[Deployment]:
    """Deployed before Passenger runs, then served."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/var/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "wheel").mkdir()
        blog = Deployment(place, free_port(), install(place / "wheel").passenger)
        source = blog.archive("one")
        told = blog.play(FIRST, "one", source, "--check", "--diff")
        assert told.status == 0, told.output[-4000:]
        assert changed(told)
        assert not blog.root.exists(), "check mode changes nothing"
        first = blog.play(FIRST, "one", source)
        assert first.status == 0, first.output[-4000:]
        config = place / "passenger.toml"
        config.write_text(CONFIGURATION.format(port=blog.port, root=blog.root))
        instance = RunningInstance(blog.passenger, config, registry=place / "run")
        try:
            instance.wait_started()
            yield blog
        finally:
            instance.process.terminate()
            instance.wait_exit()


def test_a_release_that_serves_is_left_alone(blog: Deployment) -> None:
    """The same id from the same source: nothing changes, nothing restarts."""
    source = blog.archive("base")
    assert blog.play("deploy", "base", source).status == 0
    again = blog.play("deploy", "base", source)
    assert (again.status, changed(again)) == (0, 0), again.output[-4000:]


def test_a_new_release_goes_live_and_back_without_a_failed_request(blog: Deployment) -> None:
    """Rolled by its playbook, rolled back by the other; commands before the switch see the release that comes."""
    before = blog.current
    with blog.asked() as answers:
        rolled = blog.play("rolling", "two", blog.archive("two"), before_switch=["grep -q two passenger_wsgi.py"])
        assert rolled.status == 0, rolled.output[-4000:]
        assert fetch(blog.port).text == "release two"
        back = blog.play("rollback", "", {}, "--extra-vars", "passenger_deploy_only=blog")
        assert back.status == 0, back.output[-4000:]
    assert blog.current == before
    assert set(answers) == {f"release {before}", "release two"}, "every request was answered 200"
    assert (blog.root / "current" / "media").readlink() == blog.root / "shared" / "media"


@pytest.mark.parametrize("fault", ["does not start", "does not answer as it should"])
def test_a_release_that_is_not_well_is_put_back_by_itself(blog: Deployment, fault: str) -> None:
    """The play fails and says why and what serves; no request does."""
    before = blog.current
    more = 'raise RuntimeError("broken on purpose")' if fault == "does not start" else ""
    wanted = {"url": f"http://127.0.0.1:{blog.port}/", "contains": "release" if more else "another word"}
    with blog.asked() as answers:
        name = "broken" if more else "wrong"
        played = blog.play(
            "rolling", name, blog.archive(name, more=more), health={"urls": [wanted], "retries": 1, "delay": 0}
        )
    assert played.status == 2
    assert f"Release {before} is back and serves." in played.words, played.output[-4000:]
    if more:
        assert "broken on purpose" in played.words
        assert set(answers) == {f"release {before}"}
    assert set(answers) <= {f"release {before}", f"release {name}"}, "every request was answered 200"
    assert blog.current == before
    assert not (blog.root / "switching").exists()


def test_a_play_that_was_cut_off_is_brought_to_its_end_by_the_next(blog: Deployment) -> None:
    """A half-made release is made again; a link that was turned without a restart gets its restart."""
    before = blog.current
    source = blog.archive("cut")
    half = blog.root / "releases" / "cut"
    half.mkdir()
    (half / "left-over").write_text("of the play that was cut off")
    for path in (half, half / "left-over"):
        os.chown(path, 65534, 65534)
    (blog.root / "current").unlink()
    (blog.root / "current").symlink_to("releases/cut")
    (blog.root / "switching").write_text(json.dumps({"from": before, "to": "cut"}))
    played = blog.play("deploy", "cut", source)
    assert played.status == 0, played.output[-4000:]
    assert not (half / "left-over").exists()
    assert fetch(blog.port).text == "release cut"
    assert not (blog.root / "switching").exists()
    assert (blog.root / "history").read_text().split()[-1] == "cut"


def test_what_is_wrong_is_told_before_anything_is_changed(blog: Deployment) -> None:
    """All of it at once, with name, value and fix; then an id that means something else, and a key that is unknown."""
    before = {path: path.lstat().st_mtime_ns for path in blog.root.rglob("*")}
    wrong = blog.play("deploy", "../evil", {**blog.archive("three"), "src": "/three.zip"}, keep=1, shared=["/etc"])
    told = ('passenger_app_release is "../evil"', 'passenger_app_keep is "1"', '["/etc"]', "at least 2", "unzip cannot")
    for word in told:
        assert word.replace('"1"', "1") in wrong.words.replace('"1"', "1"), wrong.output[-4000:]
    other = blog.play("deploy", blog.current, blog.archive("another"))
    assert "Give it a new name" in other.words, other.output[-4000:]
    unknown = blog.play("deploy", "x", blog.archive("another"), kep=3)
    assert "passenger_deployments.blog.kep is unknown" in unknown.words, unknown.output[-4000:]
    served = blog.play(FIRST, "x", {}, state="absent")
    assert "take it out of passenger_core_apps first" in served.words, served.output[-4000:]
    assert [play.status for play in (wrong, other, unknown, served)] == [2, 2, 2, 2]
    assert {path: path.lstat().st_mtime_ns for path in blog.root.rglob("*")} == before
