"""How a scheme is named, besides by a name: class, object, module:Class, path:Class, entry point; the same everywhere."""
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rmapcore
from rmapcore.cli import main
from rmapcore.pyx.scheme import Scheme
from rmapcore.schemes import SCHEMES, choose, newest, registry
from rmapcore.studies.bench import bench
from rmapcore.studies.replaycheck import check_replay
from rmapcore.verify.verification import verify

PAGE = 4096
HERE = Path(__file__).parent
FILE = str(HERE.parent / "everyone.py")
EVERYONE = f"{FILE}:Everyone"
CASES = HERE.parent / "data" / "cases" / "cases.jsonl"
SMALL = {"pages": 200, "processes": 3}


class Toy(rmapcore.Prototype):
    """Finds nothing. For tests of names."""

    file_rmap = "interval_tree"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that announces schemes, as pip leaves one; a function of its entry points and its module's text."""
    def install(points, text, name="ideas"):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[rmapcore.schemes]\n" + "\n".join(points))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path
    return install


# --- Machine and what it tells ------------------------------------------------------------------------------------------


def test_a_class_an_object_a_module_and_a_file_all_make_machines():
    for scheme, text in ((Toy, f"{__name__}:Toy"), (Toy(), f"{__name__}:Toy"), (f"{__name__}:Toy", f"{__name__}:Toy"),
                         (EVERYONE, EVERYONE), (f"{FILE}:Patient:tries=3", f"{FILE}:Patient:tries=3")):
        choice = choose(scheme)
        assert (str(choice), choice.again) == (text, True)
        machine = rmapcore.Machine(scheme, ram="1MiB", swap=0)
        assert machine.scheme in ("toy", "everyone", "patient")
        assert machine.file_rmap == ("interval_tree" if machine.scheme == "toy" else "prio_tree")


def test_a_registered_name_wins_over_a_module(tmp_path, monkeypatch):
    (tmp_path / "anonmm.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="scheme 'anonmm': option 'Toy' is not KEY=VALUE"):
        rmapcore.Machine("anonmm:Toy")
    assert rmapcore.Machine("anonmm", ram="1MiB").scheme == "anonmm"


def test_a_compiled_class_is_known_by_its_registered_name():
    for name, spec in SCHEMES.items():
        assert str(choose(spec.load())) == name
    machine = rmapcore.Machine(SCHEMES["pte_chain"].load()(line="32"), ram="1MiB", arch="x86_64")
    assert (machine.scheme, machine.file_rmap, str(machine.copy()._choice)) == ("pte_chain", "pte_chain", "pte_chain:line=32")
    assert machine.memory() == rmapcore.Machine("pte_chain:line=32", ram="1MiB").memory()


def test_options_follow_the_last_colon():
    assert rmapcore.Machine(f"{FILE}:Patient:tries=7", ram="1MiB")._engine.anon.tries == 7
    for text, said in ((f"{FILE}:Patient:tries=x", "patient: tries: 'x' is not a number"),
                       (f"{EVERYONE}:tries=1", "unexpected keyword argument 'tries'"), ("anon_vma:x=1", "has no option 'x'"),
                       ("pte_chain:line", "option 'line' is not KEY=VALUE")):
        with pytest.raises(ValueError, match=said):
            rmapcore.Machine(text)


@pytest.mark.parametrize(("scheme", "said"), [
    ("objrmap", "scheme 'objrmap' is unknown; known: virtual_scan, .*; or module:Class, path/to/file.py:Class"),
    ("./nothing.py:Mine", r"scheme './nothing.py:Mine': there is no file ./nothing.py"),
    (FILE, "names a file and no class in it: .*everyone.py:CLASS"),
    (f"{FILE}:", "is unknown|names a file and no class"),
    (f"{FILE}:Nobody", "everyone.py has no Nobody"),
    (f"{FILE}:NoScheme", "NoScheme is no class of Scheme"),
    (f"{FILE}:np", "np is no class of Scheme"),
    (f"{FILE[:-3]}:Everyone", "there is no file"),
    ("no_such_module:Mine", "no_such_module does not import: ModuleNotFoundError: No module named 'no_such_module'"),
    ("json:Mine", "json has no Mine"),
    ("json:JSONDecoder", "JSONDecoder is no class of Scheme"),
    ("json:JSONDecoder:strict=1", "scheme 'json:JSONDecoder:strict=1': JSONDecoder is no class"),
])
def test_text_that_leads_to_no_scheme_is_told_with_the_reason(scheme, said):
    with pytest.raises(rmapcore.UnknownName, match=said) as caught:
        rmapcore.Machine(scheme)
    assert scheme.split(":")[0] in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_fails_tells_why(tmp_path):
    for text, said in (("1 / 0\n", "ZeroDivisionError: division by zero"), ("def\n", "SyntaxError: "),
                       ("raise SystemExit(3)\n", "SystemExit: 3")):
        path = tmp_path / "broken.py"
        path.write_text(text)
        with pytest.raises(rmapcore.UnknownName, match=f"{path} does not import: {said}"):
            rmapcore.Machine(f"{path}:Mine")


@pytest.mark.parametrize("scheme", [3, None, int, object(), ["anonmm"]])
def test_what_is_no_scheme_is_refused(scheme):
    with pytest.raises(TypeError, match=r"scheme: .* is no name, and no class or object of Scheme"):
        rmapcore.Machine(scheme)


def test_a_bare_scheme_needs_a_name():
    with pytest.raises(ValueError, match="its objects need a name"):
        rmapcore.Machine(Scheme)


# --- an object is for one machine ---------------------------------------------------------------------------------------


class Around(rmapcore.Prototype):
    def __init__(self, inner):
        super().__init__(inner)


def test_an_object_stands_for_its_class_where_that_makes_another_one():
    toy = Toy()
    first, second = rmapcore.Machine(toy, ram="1MiB"), rmapcore.Machine(toy, ram="1MiB")
    assert first._engine.anon is toy is not second._engine.anon
    around = Around(SCHEMES["anonmm"].load()())
    rmapcore.Machine(around, ram="1MiB")
    with pytest.raises(ValueError, match="an object is for one machine"):
        rmapcore.Machine(around, ram="1MiB")
    changed = Toy()
    changed.depth = 3                          # which another object would not have
    assert not choose(changed).again


# --- the commands and what they stand for -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [EVERYONE, "class", "object"])
def test_compare_makes_a_new_object_for_every_machine(scheme):
    made = []

    class Noted(choose(EVERYONE).cls):
        def __init__(self):
            super().__init__()
            made.append(self)

    asked = {"class": Noted, "object": Noted()}.get(scheme, scheme) if scheme in ("class", "object") else scheme
    result = rmapcore.compare("swapout", schemes=[asked, "anonmm"], arch=["i386", "x86_64"], **SMALL)
    rows = result.to_dict()["results"]
    assert result.ok and not result.problems and [row["arch"] for row in rows] == ["i386", "i386", "x86_64", "x86_64"]
    assert rows[0]["scheme"] == rows[2]["scheme"] == str(choose(asked)) and rows[1]["scheme"] == "anonmm"
    assert rows[0]["final"]["digest"] == rows[1]["final"]["digest"]
    if scheme in ("class", "object"):
        used = [one for one in made if one.core is not None]
        assert len(used) == 2 and len({one.core for one in used}) == 2


def test_compare_takes_one_scheme_alone_and_none_twice():
    row, = rmapcore.compare("swapout", schemes=Toy, pages=50, processes=1).to_dict()["results"]
    assert row["scheme"] == f"{__name__}:Toy"
    with pytest.raises(ValueError, match=f"{__name__}:Toy, {__name__}:Toy: one is named twice"):
        rmapcore.compare("swapout", schemes=[Toy, f"{__name__}:Toy"])
    with pytest.raises(ValueError, match="schemes: at least one is needed"):
        rmapcore.compare("swapout", schemes=[])


def test_compare_shows_what_a_foreign_scheme_misses(capsys):
    assert main(["compare", "swapout", "--set", "pages=60", "--set", "processes=3", "--scheme", f"{FILE}:Forgetful"]) == 1
    out, err = capsys.readouterr()
    assert "everyone.py:Forgetful" in out and "missed" in err


def test_replay_and_its_check(tmp_path, capsys):
    recording = str(HERE.parent / "data" / "machines" / "c6b4a4c.trace")
    result = check_replay(recording, scheme=EVERYONE)
    assert result.to_dict()["scheme"] == EVERYONE and result.to_dict()["faults"] == {"checked": 5, "right": 5}
    output = tmp_path / "out.json"
    assert main(["replay", recording, "--scheme", EVERYONE, "--json", str(output)]) == 0
    assert json.loads(output.read_text())["results"][0]["scheme"] == EVERYONE
    assert main(["replay", recording, "--scheme", EVERYONE, "--check"]) == 0
    capsys.readouterr()


def test_the_grid_of_2004():
    with pytest.raises(rmapcore.UnknownName):
        rmapcore.compare("the_argument", schemes=["./no.py:X"])
    result = rmapcore.compare("the_argument", schemes=f"{FILE}:Compiled", pages=64, most=4)
    assert {row["scheme"] for row in result.to_dict()["results"]} == {f"{FILE}:Compiled"}


def test_verify(capsys, tmp_path):
    wanted = [line for line in CASES.read_text().splitlines() if '"merge/' in line][:3]
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(wanted) + "\n")
    for scheme in (EVERYONE, choose(EVERYONE).cls):
        found = verify([path], [scheme])
        assert [record["emulator"] for record in found.records] == ["pass"] * 3
        assert {record["scheme"] for record in found.records} == {EVERYONE}
    assert main(["verify", str(path), "--scheme", EVERYONE]) == 0
    assert main(["verify", "--random", "2", "--scheme", EVERYONE]) == 0
    assert EVERYONE in capsys.readouterr().out
    assert main(["verify", str(path), "--scheme", f"{FILE}:Nobody"]) == 2


def test_bench():
    """Also what is measured in an interpreter of its own."""
    subject = f"{FILE}:Compiled@6.18"
    result = bench([subject], pages=256, rounds=1)
    assert subject in {record["scheme"] for record in result.records}
    assert not result.problems

    class Local(Toy):
        pass

    with pytest.raises(ValueError, match=r"has no|another class"):
        bench([Local], pages=256, rounds=1)


@pytest.mark.parametrize("command", [["compare", "swapout"], ["replay", __file__], ["verify", str(CASES)], ["bench"]])
@pytest.mark.parametrize(("scheme", "said"), [("./no.py:X", "there is no file ./no.py"), (f"{FILE}:X", "has no X"),
                                              ("no_module:X", "No module named 'no_module'")])
def test_a_bad_scheme_is_one_line_and_exit_2(command, scheme, said, capsys):
    assert main([*command, "--scheme", scheme]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err and scheme in err


def test_an_exception_in_a_hook_is_one_line_with_its_place(tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text("import rmapcore\n\n\nclass Broken(rmapcore.Prototype):\n"
                    "    def page_first(self, pfn, v, vpn):\n        1 / 0\n")
    assert main(["compare", "swapout", "--pages", "50", "--scheme", f"{path}:Broken"]) == 2
    out, err = capsys.readouterr()
    assert err == f"rmapcore: {path}:6: ZeroDivisionError: division by zero (in page_first of scheme broken)\n" and out == ""


# --- announced by packages ----------------------------------------------------------------------------------------------

IDEAS = """
    from rmapcore import Prototype

    class Mine(Prototype):
        '''An idea of ours.

        More about it.'''
        file_rmap = "list"
        defects = ("it finds nothing",)
    """


def test_a_package_announces_schemes(installed, capsys):
    installed(["idea = ideas:Mine", "anonmm = ideas:Mine", "broken = ideas:Theirs", "lost = no_module:X"], IDEAS)
    known = rmapcore.schemes()
    assert list(known)[:len(SCHEMES)] == list(SCHEMES)
    assert known["idea"] == "An idea of ours.; known fault: it finds nothing"
    assert known["anonmm"] == SCHEMES["anonmm"].about          # a registered name wins
    assert known["broken"] == "scheme 'broken (announced by ideas)': ideas has no Theirs"
    assert "No module named 'no_module'" in known["lost"]
    machine = rmapcore.Machine("idea", ram="1MiB")
    assert (machine.scheme, machine.file_rmap, str(machine.copy()._choice)) == ("idea", "list", "idea")
    assert rmapcore.Machine("anonmm", ram="1MiB")._engine.anon.name == "anonmm"
    with pytest.raises(rmapcore.UnknownName, match="'broken \\(announced by ideas\\)': ideas has no Theirs"):
        rmapcore.Machine("broken")
    with pytest.raises(rmapcore.UnknownName, match=r"known: .*, idea, broken, lost\b.*; or"):
        rmapcore.Machine("nobody")
    assert main(["schemes"]) == 0
    assert "An idea of ours." in capsys.readouterr().out


def test_all_means_announced_ones_too(installed):
    installed(["idea = ideas:Mine"], IDEAS)
    assert registry()["idea"].defects == ("it finds nothing",)
    assert list(registry())[:len(SCHEMES) + 1] == [*SCHEMES, "idea"]


def test_nothing_foreign_is_imported_for_a_name_of_the_registry(installed):
    folder = installed(["idea = ideas:Mine"], "raise RuntimeError('imported')\n")
    code = "import rmapcore; rmapcore.Machine('anonmm', ram='1MiB')"
    root = Path(rmapcore.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, root)))}
    subprocess.run([sys.executable, "-P", "-c", code], check=True, env=environment)


# --- what registry lines say --------------------------------------------------------------------------------------------


def test_the_newest_scheme_is_a_matter_of_dates_not_of_lines():
    assert newest() == "anon_vma_chain" and all(len(spec.since) == 7 for spec in SCHEMES.values())
    assert sorted(SCHEMES, key=lambda name: SCHEMES[name].since)[0] == "virtual_scan"
