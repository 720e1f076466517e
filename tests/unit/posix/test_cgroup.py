"""CPUs and memory under cgroup v1 and v2, from trees of files."""

from __future__ import annotations

from pathlib import Path

from passenger.core.sizing import pool_size
from passenger.posix.cgroup import Room, cpu_room, memory_room, visible_cpus, visible_memory

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


def test_every_level_of_a_deep_tree_counts(tmp_path: Path) -> None:
    """Slice, scope, container, its child: the tightest wins wherever it stands, for CPUs and memory apart."""
    levels = ["", "user.slice", "user.slice/app.slice", "user.slice/app.slice/pod", "user.slice/app.slice/pod/box"]
    for tightest in range(1, len(levels)):
        root = tmp_path / str(tightest)
        files = {"proc/self/cgroup": f"0::/{levels[-1]}\n", "proc/self/mountinfo": V2}
        for number, level in enumerate(levels[1:], 1):
            files[f"sys/fs/cgroup/{level}/memory.max"] = str(GIB if number == tightest else 8 * GIB)
            files[f"sys/fs/cgroup/{level}/cpu.max"] = (
                "max 100000" if number == tightest else f"{number + 2}00000 100000"
            )
        where = tree(root, files)
        assert visible_memory(root=where) == GIB
        assert visible_cpus(root=where, affinity=16) == (3.0 if tightest != 1 else 4.0)


def test_v1_and_v2_side_by_side(tmp_path: Path) -> None:
    """The hybrid layout: memory in v1 with a nested limit, v2 without controllers. What a pool size follows from."""
    mounts = (
        "31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "32 20 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "33 20 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/a/b\n3:cpu,cpuacct:/docker/a\n0::/docker/a\n",
            "proc/self/mountinfo": mounts,
            "sys/fs/cgroup/memory/docker/memory.limit_in_bytes": str(GIB),
            "sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes": str(2 * GIB),
            "sys/fs/cgroup/memory/docker/a/b/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/unified/docker/a/cgroup.controllers": "hugetlb",
        },
    )
    cpus, memory = visible_cpus(root=root, affinity=16), visible_memory(root=root)
    assert (cpus, memory) == (3.0, GIB)
    assert pool_size(cpus=cpus, memory=memory) == 8
    assert pool_size(cpus=16, memory=GIB // 2) == 4


def test_the_reason_names_the_cgroup_that_decides(tmp_path: Path) -> None:
    """What `passenger doctor` shows."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/web.slice/passenger.service\n",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/web.slice/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/web.slice/passenger.service/memory.max": str(GIB),
        },
    )
    assert cpu_room(root=root, affinity=4) == Room(1.5, "quota of /sys/fs/cgroup/web.slice")
    assert memory_room(root=root) == Room(GIB, "limit of /sys/fs/cgroup/web.slice/passenger.service")
    assert cpu_room(root=root, affinity=1) == Room(1.0, "CPUs that it may run on")
    (tmp_path / "sys/fs/cgroup/web.slice/passenger.service/memory.max").write_text("max")
    assert memory_room(root=root) == Room(16 * GIB, "memory of the machine")


VOLUMES = (
    "40 20 0:40 / /tmp rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=1777\n"
    "41 20 0:41 / /run/passenger rw - tmpfs tmpfs rw,size=16m\n"
    "42 20 0:42 / /cache rw - tmpfs tmpfs rw\n"
    "43 20 0:43 / /huge rw - tmpfs tmpfs rw,size=67108864k\n"
    "44 20 0:44 / /dev rw - tmpfs tmpfs rw,size=65536k\n"
    "45 20 0:45 / /proc/acpi ro - tmpfs tmpfs ro,size=1024k\n"
    "46 20 0:46 / /etc/secret ro,relatime - tmpfs tmpfs rw,size=131072k\n"
    "47 20 0:47 / /data rw - ext4 /dev/sda1 rw,size=5m\n"
)


def test_volumes_in_memory_count_against_the_limit_of_a_container(tmp_path: Path) -> None:
    """E5: what /tmp may take the applications cannot have; without a size nothing is promised."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2 + VOLUMES,
            "sys/fs/cgroup/memory.max": str(GIB),
        },
    )
    why = "limit of /sys/fs/cgroup, without what /tmp and /run/passenger may take"
    assert memory_room(root=root) == Room(GIB - 80 * 1024 * 1024, why)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(str(70 * 1024 * 1024))
    assert memory_room(root=root).amount == 70 * 1024 * 1024, "volumes that promise all of it say nothing"


def test_volumes_of_a_host_do_not_count(tmp_path: Path) -> None:
    """A service's limit is not what /run and /tmp of the machine are charged to."""
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/passenger.service\n",
            "proc/self/mountinfo": V2 + VOLUMES,
            "sys/fs/cgroup/system.slice/passenger.service/memory.max": str(GIB),
        },
    )
    assert memory_room(root=root).amount == GIB


def test_a_container_on_v1_that_sees_the_paths_of_the_host(tmp_path: Path) -> None:
    """cgroupns=host: the mount shows our own cgroup, whatever /proc/self/cgroup calls it."""
    mounts = (
        "31 20 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "32 20 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    )
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            "proc/self/mountinfo": mounts + VOLUMES,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB),
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert memory_room(root=root).amount == GIB - 80 * 1024 * 1024
    assert cpu_room(root=root, affinity=4) == Room(1.5, "quota of /sys/fs/cgroup/cpu,cpuacct")
