"""Functions that are captured where there is a GPU, and called everywhere else."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

from tests.support.fake_device import DEVICE
from tilestyle.devices import graphs
from tilestyle.devices.graphs import CapturedFunction


def test_on_a_host_it_is_called() -> None:
    function = mock.Mock(side_effect=lambda x: [2 * x])
    captured = CapturedFunction(function)
    for number in range(5):
        assert captured(torch.tensor([float(number)]))[0] == 2 * number
    assert function.call_count == 5
    assert not captured.captured


@pytest.mark.parametrize("variable", ["", "1"])
def test_a_variable_turns_graphs_off(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(graphs.OFF_VARIABLE, variable)
    assert graphs.graphs_enabled() is (not variable)


def test_inputs_of_another_shape_are_not_alike() -> None:
    one = torch.zeros(2, 3)
    assert graphs._alike([one], [torch.ones(2, 3)])
    assert not graphs._alike([one], [torch.ones(3, 2)])
    assert not graphs._alike([one], [one.double()])
    assert not graphs._alike([one], [one, one])
    assert DEVICE.type != "cuda"  # the tests' device captures nothing
