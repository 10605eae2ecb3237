"What the panels say to a browser and hear from it, without a browser"
import html.parser
import json
import shutil
import subprocess
import sys
import threading

import pytest

pytest.importorskip('anywidget')

from pages import CLOSING, EVIL, Drift, Fade, every_step, named, save_scores, scores, until

from ddnb.core.basics import InputError, write_json
from ddnb.core.run import Run
from ddnb.view import runs as module
from ddnb.view.feed import RunView, evenly, feed_of, halving
from ddnb.view.front import Front
from ddnb.view.page import record_html, recorded
from ddnb.view.panel import Panel
from ddnb.view.record import Recorded, recorded_messages, to_html
from ddnb.view.runs import RunsPanel


def fact(name, value): return dict(kind='fact', name=name, value=value), []


class Counter(Front):
    "Says a number, and each new one once; its thread looks only when it is woken"
    def __init__(self, patience=60.):
        self.n, self.said, self.obeyed, self.patience = 1, 1, [], patience
        super().__init__()
        self.messages = hear(self)

    def everything(self): return [fact('n', self.n)]

    def news(self):
        if self.n == self.said: return []
        self.said = self.n
        return [fact('n', self.n)]

    def obey(self, name, **facts):
        if name == 'break': raise ValueError('this order fails')
        self.obeyed.append((name, facts))

    def answer(self, name, **facts):
        if name == 'break': raise InputError('nobody knows', 'ask another')
        return dict(name=name, **facts), [b'picture']

    def pace(self): return 1000.


def hear(front):
    "What a front says from now on, (message, pictures) in order"
    messages = []
    front.wire.send = lambda message, pictures=(): messages.append((message, list(pictures)))
    return messages


def kinds(messages): return [message['kind'] for message, _ in messages]


def tell(front, kind, **facts): front._heard(front.wire, dict(kind=kind, **facts), [])


@pytest.fixture
def counter():
    front = Counter()
    yield front
    front.close()


@pytest.fixture
def fade(tmp_path):
    "A finished run with all of its ten steps recorded"
    with every_step(): return Fade(10).start(None, folder=tmp_path/'run').wait()


@pytest.fixture
def live(tmp_path):
    "A run at work, that is stopped at the end"
    run = Fade(100_000, wait=.002).start(None, folder=tmp_path/'run')
    until(lambda: run.last, 'its first step')
    yield run
    run.stop().wait()


# ---- one thread, one wire ------------------------------------------------------------------------------------------

def test_hello_brings_everything_and_news_come_once(counter):
    tell(counter, 'hello')
    assert counter.messages == [fact('n', 1)]
    counter.n = 2
    counter.look()
    counter.look()
    assert counter.messages[1:] == [fact('n', 2)]


def test_a_second_hello_brings_all_again(counter):
    tell(counter, 'hello')
    tell(counter, 'hello')
    assert counter.messages == 2 * [fact('n', 1)]


def test_nothing_is_said_before_somebody_listens(counter):
    counter.n = 2
    counter.look()
    assert not counter.messages
    tell(counter, 'hello')
    counter.look()
    assert counter.messages == [fact('n', 2)], 'and what hello brought is not news'


def test_a_browser_that_cannot_say_hello_is_told_all_after_patience(counter):
    "A cell keeps the kernel's main thread busy: nothing that a browser says is heard"
    counter._repr_mimebundle_()
    counter.look()
    assert not counter.messages, 'it may still say hello'
    counter.patience = 0.
    until(lambda: counter._too_long_silent(), 'time passes')
    counter.look()
    assert counter.messages == [fact('n', 1)]
    counter.look()
    assert len(counter.messages) == 1, 'once'


def test_one_that_is_not_shown_speaks_to_nobody(counter):
    counter.patience = 0.
    counter.look()
    assert not counter.messages


def test_orders_are_obeyed_in_the_thread(counter):
    tell(counter, 'order', name='go', to=3)
    until(lambda: counter.obeyed, 'the thread wakes at once')
    assert counter.obeyed == [('go', dict(to=3))]


def test_questions_are_answered_at_once(counter):
    tell(counter, 'ask', id=7, name='where', step=3)
    assert counter.messages == [(dict(kind='answer', id=7, value=dict(name='where', step=3)), [b'picture'])]


def test_a_question_that_fails_says_why(counter):
    tell(counter, 'ask', id=1, name='break')
    [(message, pictures)] = counter.messages
    assert 'nobody knows' in message['value']['problem'] and not pictures


def test_an_order_that_fails_is_said_and_the_thread_goes_on(counter, capfd):
    tell(counter, 'hello')
    with counter._told:  # both wait for the same look
        tell(counter, 'order', name='break')
        tell(counter, 'order', name='go')
    until(lambda: counter.obeyed, 'the next order is obeyed')
    troubles = [m['value'] for m, _ in counter.messages if m.get('name') == 'trouble']
    assert troubles[0] == 'ValueError: this order fails'
    assert 'this order fails' in capfd.readouterr().err


def test_trouble_goes_when_the_next_order_works(counter):
    tell(counter, 'hello')
    tell(counter, 'order', name='break')
    until(lambda: len(counter.messages) == 2, 'it is said')
    tell(counter, 'order', name='go')
    until(lambda: counter.messages[-1] == fact('trouble', ''), 'it is taken back')


def test_an_error_of_the_painter_never_reaches_the_run(tmp_path):
    run = Fade(40, wait=.01).start(None, folder=tmp_path/'run')
    panel = Panel.of(run)
    failures = []
    panel.failed = failures.append
    def broken(): raise ZeroDivisionError('the painter')
    panel.news = broken
    panel.wake()
    run.wait()
    until(lambda: failures, 'it failed')
    assert run.state == 'done' and isinstance(failures[0], ZeroDivisionError)
    assert panel._thread.is_alive()
    panel.close()


def test_closing_gives_all_widgets_back(fade):
    from ipywidgets.widgets.widget import _instances
    before, threads = set(_instances), threading.active_count()
    panel, table = Panel.of(fade), RunsPanel(fade.folder.parent)
    assert len(set(_instances) - before) >= 2
    for front in (panel, table): front.close()
    assert set(_instances) <= before
    for front in (panel, table): front._thread.join(5)
    assert threading.active_count() <= threads
    assert Panel.of(fade) is not panel, 'a closed panel is not shown again'
    Panel.of(fade).close()


# ---- what a run says -----------------------------------------------------------------------------------------------

def test_a_feed_says_all_then_nothing_then_what_is_new(fade):
    feed = feed_of(fade)
    messages = feed.everything()
    assert kinds(messages)[:3] == ['run', 'events', 'frames'] and kinds(messages)[-1] == 'state'
    pictures = [p for message, sent in messages if message['kind'] == 'frames' for p in sent]
    assert len(pictures) == 10 and all(p.startswith(b'\x89PNG') for p in pictures)
    assert not feed.news()
    assert kinds(feed.everything()) == kinds(messages), 'all again'


def test_events_say_where_they_begin(live):
    feed = feed_of(live)
    seen = len(next(m['events'] for m, _ in feed.everything() if m['kind'] == 'events'))
    until(lambda: len(live.events) > seen, 'the next step')
    message = next(m for m, _ in feed.news() if m['kind'] == 'events')
    assert message['from'] == seen and message['events'][0]['step'] == live.events[seen].step


def test_everything_can_be_written_as_json(fade):
    json.dumps([message for message, _ in feed_of(fade).everything()], allow_nan=False)


@pytest.mark.parametrize('steps', [4, 30])
def test_a_folder_that_another_run_took_begins_anew(fade, steps):
    "Whether the other has come less far by the next look, or farther"
    feed = feed_of(fade)
    feed.everything()
    shutil.rmtree(fade.folder)
    with every_step(): Fade(steps).start(None, folder=fade.folder).wait()
    feed.view._looked = 0.
    messages = feed.news()
    assert kinds(messages)[:2] == ['restart', 'run']
    events = next(m for m, _ in messages if m['kind'] == 'events')
    assert events['from'] == 0 and len(events['events']) == steps
    assert sum(len(p) for m, p in messages if m['kind'] == 'frames') == steps, 'its pictures, not those of the first'


def test_a_run_of_another_process_is_followed_then_found_dead(fade):
    feed = feed_of(fade)
    write_json(fade.folder/'status.json', dict(state='running', step=10, total=10, pid=1, time=0.))
    lock = str(fade.folder/'lock')
    hold = f'from filelock import FileLock; x = FileLock({lock!r}); x.acquire(); print(1, flush=True); input()'
    other = subprocess.Popen([sys.executable, '-c', hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        feed.view.refresh(now=True)
        assert feed.state()['state'] == 'elsewhere' and 'Another program' in feed.state()['words']
    finally:
        other.kill()
        other.wait()
    feed.view.refresh(now=True)
    assert feed.state()['state'] == 'interrupted'
    assert 'step 10' in feed.state()['words'], 'where it would go on'


def test_a_dead_run_goes_on_from_its_checkpoint_when_it_is_resumed(live):
    feed = feed_of(Run.open(live.folder))
    live.stop().wait()
    feed.obey('resume')
    assert feed.run is not live and feed.run.alive
    feed.obey('stop')
    assert feed.run.wait().state == 'stopped' and feed.run.last.step > live.last.step


def test_a_failed_run_says_what_happened_and_what_to_do(tmp_path):
    run = Fade(10, fails_at=3).start(None, folder=tmp_path/'run').wait()
    state = feed_of(run).state()
    assert state['state'] == 'failed' and 'a toy that breaks' in state['problem'] and 'error.txt' in state['remedy']


def test_lost_and_damaged_previews_leave_the_others(fade):
    records = [r for r in fade.events if r.preview]
    (fade.folder/records[3].preview).unlink()
    (fade.folder/records[5].preview).write_bytes(b'no picture')
    view = RunView(fade)
    assert view.frame(records[5].step)[0] is None, 'a damaged one: what was in view stays'
    assert view.frame(records[4].step)[0].shape[0] == 4
    assert view.frame(records[3].step)[0].equal(view.frame(records[2].step)[0]), 'the one before stands for it'
    steps = [f['step'] for m, _ in feed_of(fade).everything() if m['kind'] == 'frames' for f in m['frames']]
    assert sorted(steps) == [r.step for r in records if r is not records[3]]


def test_pictures_and_their_facts_stay_together(fade):
    (fade.folder/fade.events[2].preview).unlink()
    for message, pictures in feed_of(fade).everything():
        if message['kind'] == 'frames': assert len(message['frames']) == len(pictures)


def test_halving_goes_from_the_ends_to_the_middles():
    assert halving(9) == [8, 0, 4, 2, 6, 1, 3, 5, 7]
    for n in range(40): assert sorted(halving(n)) == list(range(n))


def test_what_is_thinned_keeps_its_ends():
    assert evenly(list(range(5)), 9) == list(range(5))
    for n in (3, 7, 60):
        some = evenly(list(range(1000)), n)
        assert len(some) == n and some == sorted(set(some)) and (some[0], some[-1]) == (0, 999)


def test_a_recorded_page_is_thinned_and_says_all_numbers(tmp_path):
    with every_step(): run = Drift(50).start(None, folder=tmp_path/'run').wait()
    messages = recorded_messages([run], most=4)
    frames = [f['step'] for m, _ in messages if m['kind'] == 'frames' for f in m['frames']]
    assert len(frames) == 4 and {1, 50} <= set(frames) and frames[0] == 50, 'the last one first'
    assert len(next(m['events'] for m, _ in messages if m['kind'] == 'events')) == 50


def held(messages):
    "Steps whose pictures a browser holds after these messages, in order"
    steps = set()
    for message, _ in messages:
        steps |= {frame['step'] for frame in message.get('frames', ())}
        if message['kind'] == 'thinned': steps -= set(message['steps'])
    return sorted(steps)


@pytest.mark.parametrize('bound', [dict(kept=12), dict(room=6000.)])
def test_a_browser_holds_no_more_pictures_than_it_should(tmp_path, bound):
    "60 steps, seen in looks of five: the first, the latest and some between stay, and what is gone is said"
    with every_step(): run = Fade(60).start(None, folder=tmp_path/'run').wait()
    feed, events = feed_of(run), list(run.events)
    for name, value in bound.items(): setattr(feed, name, value)
    said = []
    for n in range(5, 65, 5):
        run.events[:] = events[:n]
        said += feed.news()
        bytes_held = sum(size for _, size in feed._frames.values())
        assert len(feed._frames) <= feed.kept and bytes_held <= feed.room
        assert held(said) == sorted(step for step, _ in feed._frames.values())
    assert {1, 60} <= set(held(said)) and 3 <= len(held(said)) < 60
    assert len(held(said)) + feed.state()['lost'] == 60
    if 'kept' in bound:
        again = held(feed.everything())
        assert len(again) == 12 and {1, 60} <= set(again), 'one that opens late holds as many'


def test_scores_are_said_again_when_they_change(fade):
    feed = feed_of(fade)
    feed.everything()
    save_scores(fade, scores('toy', 'hard', .6, .5))
    [(message, _)] = feed.news()
    assert message['name'] == 'scores' and [r['control'] for r in message['value']] == [False, True]
    assert not feed.news()


def test_damaged_scores_are_named_and_hide_nothing(fade):
    (fade.folder/'scores.json').write_text('[{"name": 1}]')
    feed = feed_of(fade)
    messages = feed.everything()
    assert {'events', 'frames', 'state'} <= set(kinds(messages))
    assert 'scores.json' in messages[-1][0]['words'] or 'a row of scores' in messages[-1][0]['words']
    save_scores(fade, scores('toy', 'hard', .6, .5))
    assert [m.get('words', '') for m, _ in feed.news()] == ['', ''], 'it goes when the file is right'


def test_a_stopped_run_that_is_resumed_is_a_new_object_and_the_panel_follows(live):
    panel = Panel.of(live)
    messages = hear(panel)
    panel.greet()
    live.stop().wait()
    again = live.resume()
    try:
        panel.look()
        assert panel.runs == [again]
        until(lambda: messages[-1][0].get('state') == 'running', 'it is said')
    finally:
        again.stop().wait()
        panel.close()


def test_orders_and_questions_reach_the_right_run(live):
    panel = Panel.of(live)
    messages = hear(panel)
    key = str(live.folder)
    tell(panel, 'order', name='pause', key=key)
    until(lambda: live.state == 'paused', 'it pauses')
    tell(panel, 'ask', id=1, name='export', key=key, format='PNG')
    answer = next(m for m, _ in messages if m['kind'] == 'answer')
    assert answer['value']['path'].endswith('.png')
    tell(panel, 'order', name='resume', key=key)
    until(lambda: live.state == 'running', 'it goes on')
    tell(panel, 'ask', id=2, name='nonsense', key=key)
    assert 'nonsense' in messages[-1][0]['value']['problem']
    panel.close()


def test_a_panel_shows_one_run_or_two(fade):
    with pytest.raises(InputError, match='one run or two'): Panel()
    with pytest.raises(InputError, match='one run or two'): Panel(fade, fade, fade)


# ---- pages ---------------------------------------------------------------------------------------------------------

class Scripts(html.parser.HTMLParser):
    "Texts of the scripts of a page, and the names of its other elements"
    def __init__(self, text):
        super().__init__()
        self.texts, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == 'script': self.texts.append('')

    def handle_data(self, data):
        if self.tags and self.tags[-1] == 'script': self.texts[-1] += data


def test_names_are_text_in_a_record(tmp_path):
    names = [EVIL, CLOSING, 'a\u2028b']
    run = Drift(3, classes=3).start(named(names), folder=tmp_path/'run').wait()
    page = Scripts(Recorded(run)._repr_html_())
    assert page.tags == ['div', 'img', 'script'], 'nothing that a name brought'
    record = json.loads(page.texts[0])
    about = next(m['about'] for m, _ in record['messages'] if m['kind'] == 'run')
    assert about['classes'] == names
    whole = Scripts(to_html(run, tmp_path/'page.html').read_text())
    assert whole.tags.count('script') == 2 and 'img' not in whole.tags


def test_a_record_refuses_what_is_no_number():
    with pytest.raises(ValueError): recorded([fact('loss', float('nan'))])
    assert '<' not in recorded([fact('x', '</script>')])
    assert record_html([], 'runs').startswith('<div class="ddnb-record">')


def test_a_page_needs_nothing_else(fade, tmp_path):
    text = to_html(fade, tmp_path/'page.html').read_text()
    assert 'http' not in text.replace('http://www.w3.org', '')


# ---- all runs of a folder ------------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    "A folder with two runs"
    for name, steps in (('first', 3), ('second', 4)): Fade(steps).start(None, folder=tmp_path/'runs'/name).wait()
    return tmp_path/'runs'


@pytest.fixture
def table(folder):
    panel = RunsPanel(folder)
    panel.pace = lambda: 1000.
    yield panel
    panel.close()


def test_a_damaged_run_is_named_and_the_others_are_there(folder, table):
    (folder/'broken').mkdir()
    (folder/'broken/run.json').write_text('{')
    value, pictures = table.table()
    assert [r['name'] for r in value['runs']] == ['first', 'second'] and len(pictures) == 2
    assert 'broken' in value['problems'][0]


def test_damaged_scores_of_a_run_are_named_and_its_row_is_there(folder, table):
    (folder/'first/scores.json').write_text('[{"name": 1}]')
    value, _ = table.table()
    assert [r['name'] for r in value['runs']] == ['first', 'second'] and value['problems']


def test_a_score_stands_beside_its_control(folder, table):
    save_scores(Run.open(folder/'first'), scores('toy', 'hard', .6, .5))
    row = table.table()[0]['runs'][0]
    assert row['score']['mean'] == .6 and abs(row['score']['gap'] - .1) < 1e-9


def test_a_run_is_read_again_only_where_its_files_have_changed(folder, table, monkeypatch):
    table.table()
    opened, open_run = [], Run.open
    monkeypatch.setattr(module.Run, 'open', staticmethod(lambda path: opened.append(path) or open_run(path)))
    before = table.table()
    assert not opened, 'nothing is read again'
    save_scores(open_run(folder/'second'), scores('toy', 'hard', .6, .5))
    rows = table.table()[0]['runs']
    assert [path.name for path in opened] == ['second'] and rows[1]['score']['mean'] == .6
    assert table.table()[1] == before[1], 'the pictures stay'


def test_only_settings_that_differ_are_said(table):
    assert [r['differs'] for r in table.table()[0]['runs']] == ['steps=3', 'steps=4']


def test_a_table_is_said_once_and_open_runs_are_followed(folder, table):
    messages = hear(table)
    table.greet()
    assert kinds(messages) == ['fact']
    table.look()
    assert len(messages) == 1, 'nothing new'
    table.obey('open', keys=[str(folder/'second')])
    assert {'run', 'frames', 'state'} <= set(kinds(messages))
    save_scores(Run.open(folder/'second'), scores('toy', 'hard', .6, .5))
    table.look()
    assert {m.get('name') for m, _ in messages[-2:]} == {'runs', 'scores'}
