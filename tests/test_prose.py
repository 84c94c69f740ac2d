"""The check of prose finds long sentences and phrases to avoid in every kind of text, and finds none in the project."""

import pytest
from prose import LONGEST, faults, main, messages, of_html, of_markdown, pages

LONG = " ".join(["word"] * (LONGEST + 1)) + "."


def test_no_text_of_the_project_has_a_fault(capsys):
    assert main() == 0, capsys.readouterr().out


def test_the_texts_are_those_that_users_see():
    names = {page for page, sentences in pages() if sentences}
    assert {"README.md", "docs/results.md", "workflow/report/fig1.rst", "config.yaml"} <= names
    assert {"paper_artifact/claims.yaml", "paper_artifact/deviations.yaml"} <= names
    assert any(name.endswith("report.html") for name in names) and any(name.endswith("config.py") for name in names)


@pytest.mark.parametrize(
    "text", [LONG, "It was trained otherwise.", "A note stands beside it.", "The command can mend it.", "This goes on."]
)
def test_a_fault_is_found_in_every_kind_of_text(text):
    assert len(list(faults(of_markdown(f"# A title\n\n- {text}\n")))) == 1
    assert len(list(faults(of_markdown(f"| a | b |\n|---|---|\n| c | {text} |\n")))) == 1
    assert len(list(faults(of_html(f"<p>{{{{ x }}}}</p><p>{text}</p>")))) == 1
    assert len(list(faults(messages(f"raise UserError(f'{{path}}: {text}')")))) == 1


def test_what_is_no_sentence_does_not_count():
    assert not list(faults(of_markdown(f"```text\n{LONG}\n```\n<!-- {LONG} -->\n\nA [word](mend/of/it.md) `mend`.")))
    assert len(of_markdown("See Fig. 3. We recommend it: this helps.")) == 2
