"""CPUs and memory under cgroup v1 and v2, from trees of files."""

from __future__ import annotations

from pathlib import Path

from passenger.posix.cgroup import visible_cpus, visible_memory

GIB = 1 << 30


def tree(root: Path, files: dict[str, str]) -> str:
    for name, text in {"proc/meminfo": "MemTotal: 16777216 kB\nMemFree: 1 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


V2 = "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"


def test_no_cgroup_means_the_machine(tmp_path: Path) -> None:
    """Without any cgroup file the machine's own figures hold."""
    root = tree(tmp_path, {})
    assert visible_cpus(root=root, affinity=4) == 4.0
    assert visible_memory(root=root) == 16 * GIB


def test_v2_takes_the_tightest_ancestor(tmp_path: Path) -> None:
    """A limit of any level above counts."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/a/memory.max": str(GIB),
            "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/b/memory.max": str(2 * GIB),
        },
    )
    assert visible_cpus(root=root, affinity=4) == 1.5
    assert visible_cpus(root=root, affinity=1) == 1.0
    assert visible_memory(root=root) == GIB


def test_v2_in_a_container_without_its_own_namespace(tmp_path: Path) -> None:
    """The host's path does not exist below the mount: the mount itself is our cgroup."""
    mount = "30 20 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    root = tree(
        tmp_path,
        {"proc/self/cgroup": "0::/docker/abc\n", "proc/self/mountinfo": mount, "sys/fs/cgroup/memory.max": str(GIB)},
    )
    assert visible_memory(root=root) == GIB


def test_v1_controllers_are_separate_mounts(tmp_path: Path) -> None:
    """cpu and memory each have their own hierarchy and their own words for `no limit`."""
    mounts = (
        "31 20 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "32 20 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    )
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/y\n",
            "proc/self/mountinfo": mounts,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/y/memory.limit_in_bytes": str(3 * GIB),
        },
    )
    assert visible_cpus(root=root, affinity=2) == 0.5
    assert visible_memory(root=root) == 3 * GIB


def test_odd_files_set_no_limit(tmp_path: Path) -> None:
    """Garbage and escapes are left alone."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../..\nnonsense\n",
            "proc/self/mountinfo": V2 + "short\n",
            "sys/fs/cgroup/cpu.max": "lots of it\n",
            "sys/fs/cgroup/memory.max": "\n",
        },
    )
    assert visible_cpus(root=root, affinity=3) == 3.0
    assert visible_memory(root=root) == 16 * GIB
