"""The page of `./dev bench`: what is promised, by whatever it was measured."""

from __future__ import annotations

from tests.bench.measure import Run
from tests.bench.report import BUDGETED, OURS, UWSGI, Budget, Chapter, Results, budgets, page

RUN = Run(rate=1000.0, p50=1.0, p99=2.0, errors=0, cpu={"core": 40.0, "application": 20.0})
OTHER = Run(rate=500.0, p50=1.0, p99=2.0, errors=0, cpu={"application": 20.0})
CHAPTER = Chapter(
    budgets=[Budget("a : b", 0.5, 0.6, [0.4, 0.5, 0.9]), Budget("c : d", 0.7, 0.6, [0.7]), Budget("e : f", None, 1.0)],
    text=["## Something else", "", "words"],
    missing=["g: not installed"],
)


def test_chapters_stand_in_the_same_table_and_page() -> None:
    """Their budgets behind those of the stacks, their text at the end, with what could not be measured."""
    runs = {OURS: {key: [RUN] for key in BUDGETED}, UWSGI: {key: [OTHER] for key in BUDGETED}}
    results = Results(runs=runs, memory={}, startup={OURS: 2.0, UWSGI: 1.0}, missing=[], chapters=[CHAPTER])
    found = {budget.what: budget for budget in budgets(results)}
    assert found["whole stack : nginx + uWSGI"].ratio == 3.0
    assert [what for what, budget in found.items() if budget.is_missed] == ["whole stack : nginx + uWSGI", "c : d"]
    assert str(found["e : f"]) == "e : f: not measured (budget 1.00)"
    text = page(results, "one machine.")
    assert "| a : b | 0.50 | 0.40 - 0.90 | 0.60 | kept |" in text
    assert "| c : d | 0.70 | 0.70 - 0.70 | 0.60 | **missed** |" in text
    assert text.endswith("\n## Something else\n\nwords\n\nNot measured here:\n\n- g: not installed\n")
