"""From document to model: defaults, units, paths, and who inherits what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from passenger.config.instance import Instance, Listener
from passenger.config.load import load
from passenger.config.model import App, Config, EnvValue, of_instance

HEAD = "config_version = 1\n"


def _config(
    text: str, *, cwd: str = "/etc/passenger", environ: dict[str, str] | None = None, flags: tuple[str, ...] = ()
) -> Config:
    loaded = load(None, text=HEAD + text, environ=environ or {}, cwd=cwd, flags=flags, host=None)
    assert loaded.config is not None, loaded.diagnostics
    return loaded.config


def _app(text: str, **options: Any) -> App:
    return _config("[apps.blog]\napp_root = '/srv/blog'\n" + text, **options).apps["blog"]


def test_defaults_are_those_of_the_model() -> None:
    """What is not written has the model's default."""
    config = _config("[apps.blog]\napp_root = '/srv/blog'\n")
    assert config.instances == {"main": Instance()}
    assert config.apps["blog"] == App(app_root="/srv/blog", instance="main")


def test_units_become_numbers() -> None:
    """Durations are seconds, sizes are bytes."""
    app = _app('start_timeout = "2m"\nresponse_timeout = "500ms"\nnginx.client_max_body_size = "20MiB"\n')
    assert (app.start_timeout, app.response_timeout, app.nginx.client_max_body_size) == (120.0, 0.5, 20 * 1024 * 1024)


def test_instance_is_filled_in_only_when_there_is_one() -> None:
    """The only instance serves an application that names none."""
    config = _config("[instances.web]\n[apps.blog]\napp_root = '/srv/blog'\n")
    assert config.apps["blog"].instance == "web"
    assert list(of_instance(config, "web").apps) == ["blog"]


def test_defaults_lie_below_every_app() -> None:
    """The application wins key by key, in tables too."""
    config = _config(
        "[defaults]\nuser = 'web'\nmin_instances = 3\nenv = { A = '1', B = '2' }\n"
        "nginx = { request_buffering = false, static_max_age = '1h' }\n"
        "[apps.blog]\napp_root = '/srv/blog'\nmin_instances = 1\nenv.B = '3'\nnginx.static_max_age = '2h'\n"
        "[apps.shop]\napp_root = '/srv/shop'\nserver_names = ['shop.example']\n"
    )
    blog, shop = config.apps["blog"], config.apps["shop"]
    assert (blog.user, blog.min_instances, dict(blog.env)) == ("web", 1, {"A": EnvValue("1"), "B": EnvValue("3")})
    assert (blog.nginx.request_buffering, blog.nginx.static_max_age) == (False, 7200.0)
    assert (shop.min_instances, dict(shop.env)) == (3, {"A": EnvValue("1"), "B": EnvValue("2")})
    assert shop.nginx.static_max_age == 3600.0


@pytest.mark.parametrize(
    ("written", "absolute"),
    [
        ("/srv/blog", "/srv/blog"),
        ("blog", "/etc/passenger/blog"),
        ("./blog/", "/etc/passenger/blog"),
        ("../blog", "/etc/passenger/../blog"),
        (".", "/etc/passenger"),
    ],
)
def test_app_root(written: str, absolute: str) -> None:
    """A relative root starts at the folder of the file; `..` is left to the kernel."""
    assert _config(f"[apps.blog]\napp_root = '{written}'\n").apps["blog"].app_root == absolute


def test_paths_below_the_root() -> None:
    """Startup file, interpreter and static files start at the application's root."""
    app = _app("startup_file = 'web/app.py'\npython = '.venv/bin/python'\ndocument_root = './static'\n")
    assert app.startup_file == "/srv/blog/web/app.py"
    assert app.python == "/srv/blog/.venv/bin/python"
    assert app.document_root == "/srv/blog/static"
    absolute = _app("python = '/usr/bin/python3'\ndocument_root = '/var/www'\n")
    assert (absolute.python, absolute.document_root) == ("/usr/bin/python3", "/var/www")


def test_programs_without_slash_stay() -> None:
    """A bare program name is looked up in PATH later; one with a slash is a path."""
    config = _config(
        "[instances.main]\nnginx.binary = 'nginx'\n[apps.blog]\napp_root = '/srv/blog'\npython = 'python3.12'\n"
    )
    assert config.apps["blog"].python == "python3.12"
    assert config.instances["main"].nginx.binary == "nginx"
    other = _config("[instances.main]\nnginx.binary = 'sbin/nginx'\n[apps.blog]\napp_root = '/srv/blog'\n")
    assert other.instances["main"].nginx.binary == "/etc/passenger/sbin/nginx"


@pytest.mark.parametrize(
    ("written", "read"), [("stdout", "stdout"), ("off", "off"), ("log/a.log", "/etc/passenger/log/a.log")]
)
def test_access_log(written: str, read: str) -> None:
    """Two words are no files."""
    config = _config(f"[instances.main]\nnginx.access_log = '{written}'\n[apps.blog]\napp_root = '/srv/blog'\n")
    assert config.instances["main"].nginx.access_log == read


def test_listeners() -> None:
    """Strings and tables mix; TLS files start at the folder of the file."""
    text = "[instances.main]\nnginx.listen = ['*:80', { address = '[::]:443', tls_certificate = 'a.pem', tls_certificate_key = '/b.key' }]\n"
    listen = _config(text + "[apps.blog]\napp_root = '/srv/blog'\n").instances["main"].nginx.listen
    assert listen == (
        Listener(address="*:80"),
        Listener(address="[::]:443", tls_certificate="/etc/passenger/a.pem", tls_certificate_key="/b.key"),
    )


def test_flags_and_variables() -> None:
    """Both override the file; their relative paths start at the current folder."""
    environ = {"PASSENGER__apps__blog__min_instances": "4", "PASSENGER__apps__blog__thread_count": "2"}
    app = _app(
        "min_instances = 1\n",
        environ=environ,
        flags=("apps.blog.min_instances=7", "apps.blog.app_root=here"),
        cwd="/home/me",
    )
    assert (app.min_instances, app.thread_count, app.app_root) == (7, 2, "/home/me/here")


def test_secret_files_make_secret_values(tmp_path: Path) -> None:
    """A value from a secret file is marked, keeps its text, and never shows in a repr."""
    (tmp_path / "key").write_text("s3cr3t\n")
    file = tmp_path / "passenger.toml"
    file.write_text(HEAD + "[apps.blog]\napp_root = '/srv/blog'\nenv = { KEY = { file = 'key' }, NAME = 'x' }\n")
    from tests.unit.config.fake_host import machine

    loaded = load(str(file), environ={}, cwd="/", host=machine())
    assert loaded.config is not None, loaded.diagnostics
    env = loaded.config.apps["blog"].env
    assert env["KEY"] == EnvValue("s3cr3t", secret=True)
    assert env["NAME"] == EnvValue("x", secret=False)
    assert "s3cr3t" not in repr(loaded.config)


def test_folders_of_merged_files(tmp_path: Path) -> None:
    """A relative path starts at the folder of the file that holds it, also in `conf.d`."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "passenger.toml").write_text(HEAD + "[apps.blog]\napp_root = 'blog'\n")
    (tmp_path / "conf.d" / "shop.toml").write_text("[apps.shop]\napp_root = 'shop'\nserver_names = ['shop.example']\n")
    loaded = load("passenger.toml", environ={}, cwd=str(tmp_path), host=None)
    assert loaded.config is not None
    assert {name: app.app_root for name, app in loaded.config.apps.items()} == {
        "blog": f"{tmp_path}/blog",
        "shop": f"{tmp_path}/conf.d/shop",
    }


def test_values_are_frozen() -> None:
    """Nobody downstream can change a configuration."""
    config = _config("[apps.blog]\napp_root = '/srv/blog'\nenv = { A = 'x' }\n")
    with pytest.raises(TypeError):
        config.apps["shop"] = config.apps["blog"]  # type: ignore[index]
    with pytest.raises(TypeError):
        config.apps["blog"].env["B"] = EnvValue("x")  # type: ignore[index]
    with pytest.raises(AttributeError):
        config.apps["blog"].user = "root"  # type: ignore[misc]


def test_written_out_again() -> None:
    """What tomli-w writes is read as the same configuration."""
    plain = {"config_version": 1, "apps": {"blog": {"app_root": "/srv/blog", "env": {"A": "line\nline", "B": "ü"}}}}
    loaded = load(None, text=tomli_w.dumps(plain), environ={}, cwd="/", host=None)
    assert loaded.config is not None
    assert {name: value.value for name, value in loaded.config.apps["blog"].env.items()} == {
        "A": "line\nline",
        "B": "ü",
    }
