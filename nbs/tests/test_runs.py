"The panel of a folder of runs, and the controls of one run"
import json
import re
import time
from dataclasses import dataclass, replace

import pytest
import torch

pytest.importorskip('ipywidgets')

from ddnb.core.basics import InputError
from ddnb.core.config import known
from ddnb.core.run import Event, Method, Run
from ddnb.data.images import DistilledSet
from ddnb.train.evaluate import Row
from ddnb.view.panel import Panel
from ddnb.view.runs import RunsPanel, runs_in
from ddnb.view.stages import StagesPanel, orders_charts


@known
@dataclass(frozen=True)
class Fade(Method):
    "Noise that fades"
    steps: int = 20    # steps
    wait: float = 0.   # seconds a step

    def stream(self, state):
        x = torch.rand(4, 1, 8, 8)
        for step in range(1, self.steps + 1):
            time.sleep(self.wait)
            images = x / step
            yield Event(step, self.steps, dict(loss=1 / step), lambda images=images: images, labels=(0, 0, 1, 1))
        return DistilledSet(x, torch.tensor([0, 0, 1, 1]), ['a', 'b'])


@pytest.fixture
def folder(tmp_path):
    "A folder with two runs"
    Fade(20).start(folder=tmp_path/'runs/first').wait()
    Fade(30).start(folder=tmp_path/'runs/second').wait()
    return tmp_path/'runs'


@pytest.fixture
def panel(folder):
    panel = RunsPanel(folder)
    yield panel
    panel.close()


def texts(table, column): return re.findall('cell">(.*?)<', table.columns[column][1].value)


def test_a_damaged_run_is_named_and_the_others_are_there(folder, panel):
    (folder/'broken').mkdir()
    (folder/'broken/run.json').write_text('{')
    with pytest.raises(InputError, match='broken'): runs_in(folder)
    panel.ask(panel.read)
    panel.refresh()
    assert 'broken' in panel.message.value
    assert texts(panel.table, 0) == ['first', 'second']


def test_a_damaged_file_of_scores_is_named(folder, panel):
    (folder/'scores.json').write_text('[{"name": 1}')
    panel.ask(panel.read)
    panel.refresh()
    assert 'scores.json' in panel.message.value and len(panel.runs) == 2


def test_a_chosen_run_stays_chosen_when_the_folder_is_read_again(folder, panel):
    assert (panel.left.label, panel.right.label) == ('first', 'second')
    panel.left.value = 1
    panel.ask(panel.read)
    panel.refresh()
    assert panel.left.label == 'second'


def test_two_runs_side_by_side_are_closed_with_the_panel(folder):
    panel = RunsPanel(folder)
    panel.ask(panel.compare)
    panel.refresh()
    assert [v.run.folder.name for v in panel.pair.views] == ['first', 'second']
    panel.close()
    assert panel.pair.closed


def test_a_panel_for_one_run_refuses_two(folder):
    with pytest.raises(InputError, match='shows one run'): StagesPanel(*runs_in(folder))


def test_pictures_of_scores_are_in_their_column_only(folder):
    row = Row('set', 'hard', 'convnet3', 1, 2, .5, .1, .6)
    control = replace(row, name='random real', mean=.4, control_of=['set'])
    (folder/'scores.json').write_text(json.dumps([row.to_json(), control.to_json()]))
    panel = RunsPanel(folder)
    assert panel.scores.columns[6][1].value.count('<svg') == 2
    assert '<svg' not in panel.scores.columns[0][1].value
    assert '+10.0' in texts(panel.scores, 5)
    panel.close()


def test_stop_is_heard_at_once(tmp_path):
    run = Fade(10_000, wait=.002).start(folder=tmp_path/'run')
    panel = Panel.of(run)
    while not run.last: time.sleep(.01)
    began = time.monotonic()
    panel.bar.stop.click()
    run.wait()
    assert run.state == 'stopped'
    assert time.monotonic() - began < 1, 'a step takes two thousandths of a second'
    panel.close()


def test_a_protocol_of_one_order_has_its_own_chart():
    row = Row('PDD', 'mtt-progressive', 'convnet3', 1, 2, .7, 0., .7, stages=[.5, .7], order='progressive')
    other = replace(row, protocol='hard', order='union')
    assert len(orders_charts([row, other], 2)) == 2


def test_a_panel_follows_its_run_into_another_object(tmp_path):
    "A stopped run that is carried on is a new object; the old panel takes it up"
    run = Fade(2000, wait=.005).start(folder=tmp_path/'run')
    panel = Panel.of(run)
    while not run.last: time.sleep(.01)
    run.stop().wait()
    again = run.resume()
    panel.refresh()
    assert panel.views[0].run is again
    again.stop().wait()
    assert Run.open(tmp_path/'run').state == 'stopped'
    panel.close()
