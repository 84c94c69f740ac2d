"""Prose of the texts that users see: no sentence of more than 30 words, no phrase that reads as if translated.

``python tests/prose.py`` prints a line per fault, and its exit code is 1 if there is one. Code, tables, links' targets
and headings do not count as sentences. What is meant to stay is in `EXCEPTIONS`.
"""

import ast
import json
import re
import sys
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
LONGEST = 30  # words of a sentence
PHRASES = [
    r"(?:done|trained|made|made up|put|said) otherwise",
    r"stands? (?:beside|apart|next to)",
    r"(?:holds?|held) to\b",
    r"mend(?:s|ed|ing)?\b",
    r"of (?:ours|one's own|its own|their own|your own|our own|my own)\b(?! \w+ numbers)",
    r"comes? (?:out )?again",
    r"is no result",
    r"goes on\b",
    r"undone\b",
    r"not \w+ \w+ but\b",
    r"dead\b",
    r"came down",
    r"lost runs|runs (?:were|are|is) lost",
    r"are not shown to differ|is not shown to differ|not shown to differ",
    r"how far it has come",
    r"at hand\b",
    r"as it stands\b",
    r"the whole interface",
    r"what was made\b",
]
# What may stay: file -> a part of the sentence.
EXCEPTIONS = {}
ABBREVIATION = re.compile(r"\b(?:Figs?|e\.g|i\.e|vs|al|etc|Dr|No|cf)\.$")


def pages():
    """(name, sentences) of every text: Markdown pages, captions, comments and texts of YAML, messages of errors."""
    markdown = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "config" / "README.md"]
    markdown += sorted((PROJECT / "docs").rglob("*.md")) + sorted((PROJECT / "paper_artifact").rglob("*.md"))
    for path in markdown:
        if "_build" not in path.parts:
            yield name(path), of_markdown(path.read_text(encoding="utf-8"))
    for path in sorted((PROJECT / "docs").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        markdown = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        yield name(path), [s for text in markdown for s in of_markdown(text)]
    for path in sorted((PROJECT / "workflow" / "report").glob("*.rst")):
        yield name(path), split(path.read_text(encoding="utf-8"))
    for path in (PROJECT / "config.yaml", *sorted((PROJECT / "paper_artifact").glob("*.yaml"))):
        text = path.read_text(encoding="utf-8")
        if path.name != "claims.yaml":  # its comments define estimators: a change would look like one of the rules
            yield name(path), [s for part in comments(text) for s in split(part)]
        if path.name != "config.yaml":
            yield name(path), [s for part in texts(yaml.safe_load(text)) for s in split(part)]
    for path in sorted((PROJECT / "workflow" / "einorm").rglob("*.py")):
        yield name(path), [s for part in messages(path.read_text(encoding="utf-8")) for s in split(part)]
    for path in sorted((PROJECT / "workflow" / "einorm").rglob("*.html")):
        yield name(path), of_html(path.read_text(encoding="utf-8"))


def name(path):
    return path.relative_to(PROJECT).as_posix()


def of_markdown(text):
    """Sentences of a Markdown page: paragraphs, list items and cells; without code and comments."""
    text = re.sub(r"```.*?```|~~~.*?~~~", "\n\n", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"^\|(.*)\|$", lambda row: "\n\n" + re.sub(r"(?<!\\)\|", "\n\n", row[1]) + "\n\n", text, flags=re.M)
    blocks = re.split(r"\n\s*\n|^\s*(?:[-*]|\d+\.)\s+|^#+.*$", text, flags=re.M)
    return [sentence for block in blocks for sentence in split(block)]


def of_html(text):
    """Sentences of a page's template: what it shows, without scripts, styles and template commands."""
    text = re.sub(r"<(script|style)>.*?</\1>|{%.*?%}|{#.*?#}", "", text, flags=re.S)
    text = re.sub(r"{{.*?}}", "X", text, flags=re.S)
    text = re.sub(r"</?(?:p|li|dd|dt|td|th|h\d|caption|figcaption|summary|section|tr|label|div)\b[^>]*>", "\n\n", text)
    return [s for block in re.sub(r"<[^>]+>", "", text).split("\n\n") for s in split(block)]


def comments(text):
    """Comments of a YAML file, lines that follow one another as one text; indented lines and keys are tables."""
    blocks = re.findall(r"(?:^ *# .*\n)+", text, flags=re.M)
    return [
        " ".join(re.sub(r"^ *# ?", "", line) for line in block.splitlines() if not re.match(r" *#   ", line))
        for block in blocks
    ]


def texts(value):
    """All texts in a YAML value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def messages(code):
    """Texts of errors and of what is printed."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("UserError", "DamagedError", "print"):
            found += [words(argument) for argument in node.args if isinstance(argument, ast.Constant | ast.JoinedStr)]
    return found


def words(node):
    """A string of the code; a placeholder counts as one word."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)


def split(text):
    """Sentences of a text."""
    found, begun = [], ""
    for part in re.split(r"(?<=[.!?:;])[\"”)*]*\s+", " ".join(text.split())):
        begun = f"{begun} {part}".strip()
        if not ABBREVIATION.search(begun) and not begun.endswith((":", ";")):
            found, begun = [*found, begun], ""
    return [sentence for sentence in [*found, begun] if sentence]


def faults(sentences):
    """A line per fault of some sentences."""
    for sentence in sentences:
        number = len(re.findall(r"\w[\w'’.,%-]*", sentence))
        if number > LONGEST:
            yield f"{number} words: {sentence}"
        for phrase in PHRASES:
            if found := re.search(rf"\b(?:{phrase})", sentence, re.I):
                yield f"{found[0]!r}: {sentence}"


def main():
    """Print all faults; 1 if there is one."""
    found = [(page, fault) for page, sentences in pages() for fault in faults(sentences)]
    found = [(page, fault) for page, fault in found if not any(text in fault for text in EXCEPTIONS.get(page, ()))]
    for page, fault in found:
        print(f"{page}: {fault}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
