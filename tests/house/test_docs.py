"""Citations can be followed: every rule that is cited is in docs/rules, every page, heading and file that is named is there.

Read are comments and docstrings of Python files, kernels as they are, and the pages of docs/. A page is cited as
`docs/facts/areas.md`, a heading of it behind that: `docs/facts/areas.md, "The linear page index"`. Every test of the tree has
beside it one that shows that the search sees what it must.
"""
import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 200                                  # characters of a line of the rules and facts
TOPS = ("pyx", "rmapcore", "tests", "bench", "examples", "docs")

ID = r"Q?[A-P]\d+[a-z]?"
LISTED = rf"{ID}|Q?[A-P]\b"                    # "rules K" is a chapter
CITED = re.compile(rf"\b[Rr]ules? ((?:{LISTED})(?:(?:, | and | to |-)(?:{LISTED}))*)")
OF_6_18 = re.compile(r"\bQ[A-K]\d+[a-z]?\b")   # no other name looks like these
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
RULE = re.compile(rf"^## ({ID})\. ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGE = re.compile(r"docs/[\w./-]+\.md")
QUOTED = re.compile(r'(docs/[\w./-]+\.md), "([^"]+)"(?: and "([^"]+)")?')
PATH = re.compile(rf"(?<![\w/.])(?!pyx/schemes/a\.)(?:{'|'.join(TOPS)})/[\w./-]*\w\.(?:pyx|pxd|pxi|py|md|json|c)\b")
NAME = re.compile(r"(?<![\w/.*-])(?!rmapcore\.pyx)[\w-]+\.(?:pyx|pxd|pxi|md)\b")
NOWHERE = re.compile(r"\bfact sheet|\brmap \d+\b")


# --- what is read -----------------------------------------------------------------------------------------------------


def prose(path, text):
    """What a source says to people, as one line: docstrings and comments of Python, all of a kernel or a page."""
    if path.endswith(".py"):
        nodes = [node for node in ast.walk(ast.parse(text))
                 if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))]
        said = [ast.get_docstring(node, clean=False) or "" for node in nodes]
        said += [token.string for token in tokenize.generate_tokens(io.StringIO(text).readline)
                 if token.type == tokenize.COMMENT]
        text = "\n".join(said)
    return re.sub(r"\s+(?:# )?", " ", text)


def read(*tops, suffixes=(".py", ".pyx", ".pxd", ".pxi", ".md")):
    """{path from the root: text} of all files below."""
    paths = [path for top in tops for path in sorted((ROOT / top).rglob("*")) if path.suffix in suffixes]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="module")
def sources():
    return {path: prose(path, text) for path, text in read("pyx", "rmapcore", "tests", "bench", "examples").items()}


@pytest.fixture(scope="module")
def pages():
    return {"README.md": (ROOT / "README.md").read_text(encoding="utf-8"), **read("docs")}


@pytest.fixture(scope="module")
def rules(pages):
    """{name of a rule: its page}."""
    return {name: path for path, text in pages.items() if path.startswith("docs/rules/") for name in RULE.findall(text)}


# --- rules ------------------------------------------------------------------------------------------------------------


def cited_rules(text):
    """Names of rules and letters of chapters that a text cites."""
    named = [name for listed in CITED.findall(text) for name in re.findall(LISTED, listed)]
    return {*named, *OF_6_18.findall(text)}


def unknown(cited, rules):
    chapters = {name.rstrip("abcdefghij").rstrip("0123456789") for name in rules}
    return sorted(name for name in cited if name not in rules and name not in chapters)


def test_every_rule_that_is_cited_is_there(sources, pages, rules):
    assert len(rules) > 100
    said = {**sources, **{path: prose(path, text) for path, text in pages.items()}}
    assert not {path: lost for path, text in said.items() if (lost := unknown(cited_rules(text), rules))}


def test_rules_that_rules_name_are_there(pages, rules):
    """In the pages of the rules a name needs no word before it."""
    lost = {}
    for path, text in pages.items():
        if path.startswith("docs/rules/"):
            found = unknown(set(re.findall(rf"(?<![\w-]){ID}\b", text)), rules)
            lost |= {path: found} if found else {}
    assert not lost


def test_the_twins_check_names_rules(rules):
    """tests/reference: require(condition, "B3: ...")."""
    text = "".join(text for path, text in read("tests/reference").items() if "require(" in text)
    named = set(re.findall(rf'"({ID})[":]', text))
    assert len(named) > 10 and not unknown(named, rules)


def test_no_rule_has_two_places(pages):
    names = [name for path, text in pages.items() if path.startswith("docs/rules/") for name in RULE.findall(text)]
    assert sorted(names) == sorted(set(names))


def test_lines_are_short(pages):
    long = [f"{path}:{number}" for path, text in pages.items() if path.startswith(("docs/rules/", "docs/facts/"))
            for number, line in enumerate(text.splitlines(), 1) if len(line) > LONGEST]
    assert not long


def test_a_cited_rule_is_seen():
    text = "as rule G1 says (rules A3a, E11 and K2-K8), in rules K; rule F8; QF5 too. F3 is a name of check()"
    assert cited_rules(text) == {"G1", "A3a", "E11", "K2", "K8", "K", "F8", "QF5"}
    assert unknown({"G1", "G99", "K", "Z"}, {"G1": "", "K2": ""}) == ["G99", "Z"]


# --- pages and files --------------------------------------------------------------------------------------------------


def anchors(text):
    """What #... may say: headings as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def dead_links(path, pages):
    for target in LINK.findall(pages[path]):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        to = (ROOT / path).parent / place if place else ROOT / path
        if not to.exists():
            yield f"{path}: {target}"
        elif anchor and anchor not in anchors(to.read_text(encoding="utf-8")):
            yield f"{path}: {target} has no such heading"


def lost_citations(path, text, pages, names):
    """Pages, headings and files that a text names and that are not there; names: those of all files of the tree."""
    for page, *headings in QUOTED.findall(text):
        for heading in filter(None, headings):
            if page in pages and heading not in HEADING.findall(pages[page]):
                yield f"{path}: {page} has no heading {heading!r}"
    for cited in {*PAGE.findall(text), *PATH.findall(text)}:
        if not (ROOT / cited).exists() and cited != "pyx/_cyutility.c":
            yield f"{path}: {cited} is not there"
    for name in set(NAME.findall(text)) - names:
        yield f"{path}: {name} is nowhere"
    if not path.startswith("docs/"):
        for vague in NOWHERE.findall(text):
            yield f"{path}: {vague}: cite a page of docs/facts, or a commit"


@pytest.fixture(scope="module")
def names():
    return {path.name for top in TOPS for path in (ROOT / top).rglob("*")} | {path.name for path in ROOT.iterdir()}


def test_links_lead_somewhere(pages):
    dead = [link for path in pages for link in dead_links(path, pages)]
    assert not dead


def test_citations_lead_somewhere(sources, pages, names):
    said = {**sources, **{path: prose(path, text) for path, text in pages.items()}}
    lost = [line for path, text in said.items() for line in lost_citations(path, text, pages, names)]
    assert not lost, "\n".join(lost)


def test_every_page_is_led_to(pages):
    """From README.md on, by links."""
    reached, todo = set(), ["README.md"]
    while todo:
        path = todo.pop()
        if path in reached or path not in pages:
            continue
        reached.add(path)
        for target in LINK.findall(pages[path]):
            place = target.partition("#")[0]
            if place.endswith(".md") and ":" not in place:
                todo.append(((ROOT / path).parent / place).resolve().relative_to(ROOT).as_posix())
    assert reached == set(pages)


@pytest.mark.parametrize(("text", "complaint"), [
    ('docs/facts/areas.md, "The linear page index"', None),
    ('docs/facts/areas.md, "The index"', "has no heading"),
    ("docs/facts/schemes.md", "is not there"),
    ("schemes.md 2.4", "is nowhere"),
    ("pyx/engine/none_such.pyx says", "is not there"),
    ("none_such.pxd", "is nowhere"),
    ("2.6.7 mm/rmap.c page_referenced", None),
    ("rmap 40", "cite a page"),
])
def test_a_citation_that_leads_nowhere_is_seen(pages, names, text, complaint):
    found = " ".join(lost_citations("pyx/a.pyx", text, pages, names))
    assert complaint in found if complaint else not found


def test_prose_of_python_is_comments_and_docstrings():
    text = 'X = "pyx/not_this.pyx"\n\n\ndef f():\n    """See\n    rule\n    G1."""\n    return X  # and F2\n'
    assert prose("a.py", text) == " See rule G1. and F2"
