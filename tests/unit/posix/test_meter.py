"""When a process is looked at closely, and what its memory is taken to be; from trees of files."""

from __future__ import annotations

from pathlib import Path

from passenger.posix.meter import PAGE, REFRESH, Figure, Meter, Target, has_swap

MIB = 1024 * 1024


class Proc:
    """A /proc of text files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(
        self, pid: int, *, rss: int, private: int | None = None, swapped: int = 0, faults: int = 0, name: str = "app"
    ) -> None:
        """`private` None: the kernel does not say."""
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "statm").write_text(f"9999 {rss // PAGE} 10 1 0 20 0\n")
        (folder / "stat").write_text(f"{pid} ({name}) S 1 2 3 0 -1 4194304 {faults} 0 0 0 1 2" + " 0" * 7)
        with (folder / "stat").open("a") as stat:
            stat.write(f" 9999 {rss // PAGE} 0 0 0\n")
        if private is not None:
            lines = [
                "00400000-7fff0000 ---p 00000000 00:00 0 [rollup]",
                f"Rss: {rss // 1024} kB",
                f"Pss: {rss // 2048} kB",
                f"Private_Clean: {private // 2048} kB",
                f"Private_Dirty: {private // 2048} kB",
                f"SwapPss: {swapped // 1024} kB",
            ]
            (folder / "smaps_rollup").write_text("\n".join(lines) + "\n")

    def meter(self, *, swap: bool = False) -> Meter:
        return Meter(proc=str(self.root), swap=swap)


def test_a_small_process_is_not_looked_at_closely(tmp_path: Path) -> None:
    """Resident memory below the limit is the end of the question: 500 of these cost next to nothing."""
    proc = Proc(tmp_path)
    proc.process(1, rss=50 * MIB, private=40 * MIB)
    meter = proc.meter()
    assert meter.look([Target(1, 100 * MIB)], 0.0) == {}
    assert meter.exact_looks == 0


def test_what_is_shared_with_the_preloader_is_not_counted(tmp_path: Path) -> None:
    """200 MiB resident, 30 of them its own: below a limit of 100."""
    proc = Proc(tmp_path)
    proc.process(1, rss=200 * MIB, private=30 * MIB)
    proc.process(2, rss=200 * MIB, private=150 * MIB, name="a) b (c")
    meter = proc.meter()
    assert meter.look([Target(1, 100 * MIB), Target(2, 100 * MIB)], 0.0) == {2: Figure(150 * MIB, is_exact=True)}
    assert meter.exact_looks == 2


def test_without_page_faults_there_is_no_second_close_look(tmp_path: Path) -> None:
    """A page becomes a process's own by a fault, so none means no growth; enough of them mean another look."""
    proc = Proc(tmp_path)
    proc.process(1, rss=200 * MIB, private=30 * MIB, faults=1000)
    meter = proc.meter()
    target = Target(1, 100 * MIB)
    meter.look([target], 0.0)
    proc.process(1, rss=200 * MIB, private=40 * MIB, faults=1000 + 10 * MIB // PAGE)
    assert meter.look([target], 1.0) == {}
    assert meter.exact_looks == 1
    proc.process(1, rss=200 * MIB, private=110 * MIB, faults=1000 + 80 * MIB // PAGE)
    assert meter.look([target], 2.0) == {1: Figure(110 * MIB, is_exact=True)}
    assert meter.exact_looks == 2


def test_an_old_figure_is_refreshed(tmp_path: Path) -> None:
    """The preloader may have gone: what was shared is the process's own now, without any fault."""
    proc = Proc(tmp_path)
    proc.process(1, rss=200 * MIB, private=30 * MIB)
    meter = proc.meter()
    target = Target(1, 100 * MIB)
    meter.look([target], 0.0)
    proc.process(1, rss=200 * MIB, private=190 * MIB)
    assert meter.look([target], REFRESH - 1) == {}
    assert meter.look([target], REFRESH) == {1: Figure(190 * MIB, is_exact=True)}


def test_old_figures_are_renewed_a_few_at_a_time(tmp_path: Path) -> None:
    """500 that became old in the same second are no reason for 500 close looks in the next."""
    proc = Proc(tmp_path)
    targets = [Target(pid, 100 * MIB) for pid in range(1, 8)]
    for target in targets:
        proc.process(target.pid, rss=200 * MIB, private=30 * MIB)
    meter = proc.meter()
    meter.look(targets, 0.0)
    looks = []
    for number in range(6):
        before = meter.exact_looks
        meter.look(targets, REFRESH + number)
        looks.append(meter.exact_looks - before)
    assert looks == [2, 2, 2, 1, 0, 0]


def test_swapped_memory_counts(tmp_path: Path) -> None:
    """Where the machine swaps, a small resident size proves nothing."""
    proc = Proc(tmp_path)
    proc.process(1, rss=20 * MIB, private=20 * MIB, swapped=300 * MIB)
    assert proc.meter(swap=True).look([Target(1, 100 * MIB)], 0.0) == {1: Figure(320 * MIB, is_exact=True)}
    proc.process(1, rss=20 * MIB, private=20 * MIB, swapped=10 * MIB)
    meter = proc.meter(swap=True)
    assert meter.look([Target(1, 100 * MIB)], 0.0) == {}
    proc.process(1, rss=95 * MIB, private=95 * MIB, swapped=10 * MIB, faults=100_000)
    assert meter.look([Target(1, 100 * MIB)], 1.0) == {1: Figure(105 * MIB, is_exact=True)}


def test_the_resident_size_where_nothing_else_is_told(tmp_path: Path) -> None:
    """D12: no smaps_rollup; and a process that cannot be seen at all has no figure."""
    proc = Proc(tmp_path)
    proc.process(1, rss=200 * MIB)
    assert proc.meter().look([Target(1, 100 * MIB), Target(2, 1)], 0.0) == {
        1: Figure(200 * MIB, is_exact=False),
        2: None,
    }


def test_swap_of_the_machine(tmp_path: Path) -> None:
    """Unknown counts as yes: the careful way is taken then."""
    assert has_swap(str(tmp_path))
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\nSwapTotal:       0 kB\n")
    assert not has_swap(str(tmp_path))
    (tmp_path / "meminfo").write_text("SwapTotal:    2048 kB\n")
    assert has_swap(str(tmp_path))
