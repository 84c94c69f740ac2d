"""The pictures of the documentation: as the sources say now, and readable."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import matplotlib.pyplot as plt
import pytest
from conftest import REPOSITORY
from einorm.conditions import CONDITIONS, Condition
from einorm.error_signals import ERROR_SIGNALS
from einorm.runtime import UserError
from matplotlib import rc_context
from matplotlib.patches import FancyBboxPatch

DOCS = REPOSITORY / "docs"
sys.path.insert(0, str(DOCS))

import pictures  # noqa: E402
import rulegraph  # noqa: E402
import sketch  # noqa: E402

PICTURES = list(pictures.PICTURES)


@pytest.fixture(scope="module")
def graph():
    """The workflow's rules, asked of Snakemake once."""
    return rulegraph.rules()


@pytest.fixture
def drawn(request):
    with rc_context(sketch.LOOK):
        figure = pictures.PICTURES[request.param][1]()
        figure.set_dpi(4 * sketch.PER_INCH)  # so that letters are as wide as in a vector graphic
        yield figure.axes[0]
        plt.close(figure)


def tracked(name):
    return ElementTree.parse(DOCS / "pictures" / f"{name}.svg").getroot()


def ids(name):
    return {element.get("id") for element in tracked(name).iter()}


@pytest.mark.parametrize("name", PICTURES)
def test_tracked_pictures_are_what_is_drawn_now(name, tmp_path):
    pictures.save(name, tmp_path)
    same = (tmp_path / f"{name}.svg").read_bytes() == (DOCS / "pictures" / f"{name}.svg").read_bytes()
    assert same, "run: python docs/pictures.py"


def test_no_other_picture_is_tracked():
    assert {path.stem for path in (DOCS / "pictures").iterdir()} == {*PICTURES, pictures.GRAPH}


def test_the_command_draws_into_another_folder(tmp_path):
    line = [sys.executable, DOCS / "pictures.py", "network", "error_signals", "--out", tmp_path / "new"]
    assert subprocess.run(line).returncode == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    assert written == {f"{n}.svg": (DOCS / "pictures" / f"{n}.svg").read_bytes() for n in ("network", "error_signals")}


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="no picture is called netwrok; did you mean 'network'?"):
        pictures.main(["netwrok", "--out", str(tmp_path)])


@pytest.mark.parametrize("name", [*PICTURES, pictures.GRAPH])
def test_pictures_refer_to_nothing_outside(name):
    for element in tracked(name).iter():
        tag = element.tag.rsplit("}", 1)[-1]
        assert tag not in {"image", "script", "a", "foreignObject"} and (tag != "text" or name == pictures.GRAPH)
        assert "import" not in (element.text or "")
        for key, value in element.attrib.items():
            assert not key.endswith(("href", "resource")) or value.startswith("#")
            assert value.count("url(") == value.count("url(#")


def test_pictures_are_white_and_900_pixels_wide():
    for name in PICTURES:
        root = tracked(name)
        assert root.get("width") == f"{900 * 72 // 96}pt"
        background = next(element for element in root.iter() if element.tag.endswith("}path"))
        assert "fill: #ffffff" in background.get("style")


@pytest.mark.parametrize("drawn", PICTURES, indirect=True)
def test_words_meet_no_words_no_edges_and_no_arrows(drawn):
    words = [(text.get_text(), text.get_window_extent()) for text in drawn.texts if text.get_text()]
    patches = [patch for patch in drawn.patches if isinstance(patch, FancyBboxPatch) and patch.get_zorder() > 0]
    boxes = [patch.get_window_extent() for patch in patches]
    lines = [line.get_path().transformed(line.get_transform()) for line in drawn.lines]
    assert len(words) > 10 and len(boxes) > 10 and len(lines) > 10
    for (one, extent), (other, its) in combinations(words, 2):
        assert not extent.overlaps(its), (one, other)
    for word, extent in words:
        assert inside(extent, drawn.figure.bbox), word
        assert all(inside(extent, box) or not extent.overlaps(box) for box in boxes), word
        assert not any(line.intersects_bbox(extent, filled=False) for line in lines), word


def inside(inner, outer):
    return outer.contains(*inner.min) and outer.contains(*inner.max)


def test_every_condition_has_its_row():
    rows = pictures.conditions()
    assert {row[0] for row in rows} == set(CONDITIONS)
    assert {f"condition-{name}" for name in CONDITIONS} <= ids("error_signals")
    assert {row[0] for row in rows if row[-1]} == {"inorm_div", "gradnorm_sub", "lateral_plastic", "e_error_only"}
    shown = {row[0]: row[4][0] for row in rows}
    assert shown["gradnorm_center"] == r"$g - \overline{g}$" and shown["gradnorm_full"] == shown["e_only_ln"]


def test_every_error_signal_can_be_shown():
    assert set(pictures.ERROR_SIGNALS) == set(ERROR_SIGNALS)


def test_a_condition_that_cannot_be_shown_is_refused(monkeypatch):
    monkeypatch.setitem(CONDITIONS, "mine", Condition("e", "ln", "squared", "Mine"))
    with pytest.raises(UserError, match="condition mine: say in docs/pictures.py how 'squared' is drawn"):
        pictures.conditions()


def test_every_rule_of_the_workflow_is_in_the_graph(graph):
    nodes, edges = graph
    members = [rule for node in nodes.values() for rule in node]
    assert sorted(members) == sorted(rulegraph.snakemake("--list-rules").split())
    assert {"fig1", "published_fig2", "learning_curves", "figures"} <= set(nodes["figures"])
    assert {rule for rule in members if rule.startswith("train_")} == set(nodes["train"])
    assert {("prepare", "train"), ("train", "collect"), ("collect", "claims"), ("page", "artifact")} <= set(edges)


def test_the_tracked_graph_is_that_of_the_rules(graph):
    """Nodes and, but for those that a longer way implies, arrows: whoever changes rules draws it again."""
    nodes, edges = graph
    titles = {element.text for element in tracked("rules").iter() if element.tag.endswith("}title")} - {"rules"}
    arrows = {tuple(title.split("->")) for title in titles if "->" in title}
    assert {title for title in titles if "->" not in title} == set(nodes), "run: python docs/pictures.py rules"
    assert arrows <= set(edges) and reached(arrows) == reached(edges), "run: python docs/pictures.py rules"
    drawn = {name: f"{name} {rulegraph.shown(name, members)}" for name, members in nodes.items()}
    words = " ".join(element.text for element in tracked("rules").iter() if element.tag.endswith("}text"))
    assert all(word in words for text in drawn.values() for word in text.split()), "run: python docs/pictures.py rules"


def reached(arrows):
    """All pairs between which a way leads."""
    ways = set(arrows)
    while more := {(a, d) for a, b in ways for c, d in ways if b == c} - ways:
        ways |= more
    return ways


def test_without_graphviz_the_graph_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs Graphviz: install it"):
        rulegraph.save(tmp_path / "rules.svg")
    assert not any(tmp_path.iterdir())


def test_what_snakemake_refuses_is_one_line():
    with pytest.raises(UserError, match="^snakemake --no-such-option failed: .*no-such-option.*$"):
        rulegraph.snakemake("--no-such-option")
