"""Matrices side by side, each on one thread."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch

from tests.stats.test_moments import features, moments_of
from tilestyle.devices.threads import run_side_by_side
from tilestyle.losses.style_targets import TargetDistances
from tilestyle.stats.distances import WassersteinTarget


@pytest.fixture
def threads() -> Iterator[None]:
    """Of which a test may set another number."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def seen_elsewhere() -> int:
    """Threads that one which has just begun would compute on."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_pieces_answer_in_their_order_and_have_one_thread_each(count: int) -> None:
    torch.set_num_threads(count)

    def piece(number: int) -> tuple[int, int]:
        return number, torch.get_num_threads()

    assert run_side_by_side([partial(piece, number) for number in range(7)]) == [
        (number, 1) for number in range(7)
    ]
    assert torch.get_num_threads() == count
    assert seen_elsewhere() == count
    assert run_side_by_side([]) == []


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("count", [1, 3])
def test_the_first_error_passes(count: int) -> None:
    torch.set_num_threads(count)

    def fail(message: str) -> int:
        raise ValueError(message)

    with pytest.raises(ValueError, match="one"):
        run_side_by_side([partial(fail, "one"), partial(fail, "two")])
    assert run_side_by_side([lambda: 1]) == [1]


@pytest.mark.usefixtures("threads")
def test_distances_do_not_depend_on_the_number_of_threads() -> None:
    sizes = {"few": 6, "some": 200, "others": 200, "many": 260}
    goals = {name: moments_of(features(size, 1, 900, seed=1)) for name, size in sizes.items()}
    found = {name: moments_of(features(size, 1, 700, seed=2)) for name, size in sizes.items()}
    targets = {name: WassersteinTarget(goal) for name, goal in goals.items()}
    answers = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        answers.append(TargetDistances(targets).cotangents(found))
        assert list(answers[-1]) == list(sizes)
    for name, expected in answers[0].items():
        for answer in answers[1:]:
            assert torch.equal(answer[name].matrix, expected.matrix)
            assert torch.equal(answer[name].offset, expected.offset)
            assert answer[name].value == expected.value


def answered(queue: Any) -> None:
    queue.put(run_side_by_side([lambda: 3, lambda: 4]))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("threads")
def test_a_forked_process_has_workers_of_its_own() -> None:
    torch.set_num_threads(2)
    assert run_side_by_side([lambda: 1, lambda: 2]) == [1, 2]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=answered, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [3, 4]
    child.join()
