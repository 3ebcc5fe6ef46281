"""
Values from a file and the command line: every problem told at once, with its place.
"""

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import declarations
from runbook_lib.notebook.parameters import check
from runbook_lib.notebook.templates import Cell, Notebook
from runbook_lib.runner.values import declared, load, own, read_arguments, resolve, take_notebooks

CELL = """
cluster: str = "geo-diff"  # tags everything
worker_count: int = 4  # how many workers; 1..20
wait_s: float = 1.0  # seconds between two batches; 0..
adopt: bool = False  # take over what is there
zones: list = []  # availability zones
tiles_url: str = ""  # required: where the parts are
"""
DECLARED = declarations(CELL, "01_x, parameters cell")


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "lab.yml"
        path.write_text(text)
        return path

    return write


def notebook(tmp_path, name, cell):
    return Notebook(tmp_path / f"{name}.ipynb", (Cell("code", cell, ("parameters",)),))


def test_a_file_gives_values_with_their_lines(file):
    path = file("# a comment\ncluster: lab  # the name\nzones: [a, b]\n")
    settings = load(path)
    assert {"cluster": "lab", "zones": ["a", "b"]} == {n: s.value for n, s in settings.items()}
    assert f"{path}:2" == settings["cluster"].where


def test_an_empty_file_gives_nothing(file):
    assert {} == load(file("# nothing yet\n"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", r"lab.yml:3: a is already set at .*lab.yml:1"),
        ("a:\n  b: 1\n", "lab.yml:1: a is nested"),
        ("a: [[1]]\n", "lab.yml:1: a is nested"),
        ("- a\n- b\n", "to hold lines"),
        ("a: 'b\n", "a parameter file in YAML"),
    ],
)
def test_a_file_that_is_not_flat_is_refused(file, text, problem):
    with pytest.raises(ParameterError, match=problem):
        load(file(text))


def test_a_file_may_say_which_notebooks_its_run_takes(file):
    settings = load(file('notebooks: ["00-07", "30"]\nbatch: 300\n'))

    assert ["00-07", "30"] == take_notebooks(settings)
    assert ["batch"] == list(settings)
    assert [] == take_notebooks(settings)


def test_notebooks_without_quotes_are_refused_before_yaml_makes_numbers_of_them(file):
    with pytest.raises(ParameterError, match="put each number in quotes"):
        take_notebooks(load(file("notebooks: [00, 30]\n")))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stack_name: 2024-13-01\n", ":1: stack_name is 2024-13-01, which YAML takes for a time"),
        (
            "\nsurfaces: [a, 2024-01-02]\n",
            ":2: surfaces is 2024-01-02, which YAML takes for a time",
        ),
        (
            "stack_name: =\n",
            ":1: stack_name is =, which YAML takes for a value; a text needs quotes",
        ),
        ("batch: !!int abc\n", ":1: batch is abc, expected int as its tag says"),
        ("batch: !!bool abc\n", ":1: batch is abc, expected bool as its tag says"),
        ("batch: !vault x\n", ":1: batch has the tag !vault; expected a plain value"),
        ("zones: !!python/tuple [a]\n", ":1: zones has the tag tag:yaml.org,2002:python/tuple"),
        ("? [a, b]\n: 1\n", ":1: expected a name before the colon"),
        ("<<: {a: 1}\n", ":1: << is nested"),
        ('cluster: "\\ud800"\n', ":1: cluster .*surrogates not allowed"),
        ('cluster: "\\UFFFFFFFF"\n', "a parameter file in YAML"),
    ],
)
def test_odd_yaml_is_refused_with_its_line(file, text, problem):
    with pytest.raises(ParameterError, match=problem):
        load(file(text))


def test_all_odd_values_of_a_file_are_told_at_once(file):
    with pytest.raises(ParameterError) as caught:
        load(file("a: 2024-13-01\nb: fine\nc: !x y\na: 1\n"))
    lines = [line.strip().partition("lab.yml")[2] for line in str(caught.value).splitlines()]
    assert [":1: a is", ":3: c has", ":4: a is al"] == [
        line[:n] for line, n in zip(lines[1:4], (8, 9, 11), strict=True)
    ]


SCALARS = {
    "worker_count": [
        "12",
        "0300",
        "08",
        "0x10",
        "1:30",
        "1_0",
        "+5",
        "-1",
        "on",
        "~",
        "1.0",
        "soon",
    ],
    "wait_s": ["2", "2.5", "1e1", ".5", "0300", "1:30", ".inf", ".nan", "yes", "soon"],
    "adopt": ["true", "False", "yes", "off", "1", "maybe"],
}


@pytest.mark.parametrize("name", SCALARS)
def test_a_value_means_the_same_in_a_file_and_on_the_command_line(file, name):
    def outcome(settings):
        try:
            return resolve(settings, DECLARED, {})[name]
        except ParameterError:
            return "refused"

    for text in SCALARS[name]:
        in_file = outcome(load(file(f"{name}: {text}\n")))
        given = outcome(read_arguments([f"{name}={text}"], DECLARED))
        assert (text, type(given), given) == (text, type(in_file), in_file)


def test_a_leading_zero_is_no_number_because_it_is_octal_to_some_readers(file):
    with pytest.raises(ParameterError, match=r"worker_count is 010, expected int 1\.\.20"):
        resolve(load(file("worker_count: 010\n")), DECLARED, {})
    with pytest.raises(ParameterError, match="without the leading zero"):
        resolve(read_arguments(["worker_count=010"], DECLARED), DECLARED, {})


def test_a_quoted_number_is_a_text(file):
    with pytest.raises(ParameterError, match=r"worker_count is '5', expected int 1\.\.20"):
        resolve(load(file('worker_count: "5"\n')), DECLARED, {})


def test_the_items_of_a_list_are_texts(file):
    with pytest.raises(ParameterError, match="zones: expected texts, saw False, None, 1 "):
        resolve(load(file("zones: [no, 08, null, 1]\n")), DECLARED, {})
    with pytest.raises(ParameterError, match="zones: expected texts, saw 1"):
        check("01_x", {"In": [CELL], "zones": ["a", 1], "tiles_url": "x"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[]", []),
        ('["A","B"]', ["A", "B"]),
        ("[A, B]", ["A", "B"]),
        ('["A=1,2"]', ["A=1,2"]),
        ("A,B", ["A", "B"]),
        ("", []),
        ("[A", "[A"),
        ("[A], B", "[A], B"),
        ("[[A]]", "[[A]]"),
        ("[2024-13-01]", "[2024-13-01]"),
    ],
)
def test_a_list_on_the_command_line_may_be_written_as_in_a_file(text, value):
    """A text that is no list stays one, and is refused for its type."""
    assert value == read_arguments([f"zones={text}"], DECLARED)["zones"].value


def test_an_argument_without_an_equals_sign_is_refused():
    with pytest.raises(
        ParameterError, match=r"-p cluster: expected NAME=VALUE\n.*-p =1: expected N"
    ):
        read_arguments(["cluster", "adopt=true", "=1"], DECLARED)


PAIR = declarations(
    """
min_scale: int = 4  # the fewest workers; 1..max_scale
max_scale: int = 8  # the most workers; 1..100
""",
    "06_x, parameters cell",
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("min_scale: 9\nmax_scale: 3\n", "lab.yml:1: min_scale is 9, .*max_scale is 3"),
        ("min_scale: 9\n", "lab.yml:1: min_scale is 9, .*max_scale is 8"),
        ("max_scale: 3\n", "06_x, parameters cell, line 2: min_scale is 4, .*max_scale is 3"),
    ],
)
def test_a_range_that_ends_at_another_value_names_that_value(file, text, problem):
    with pytest.raises(ParameterError, match=problem):
        resolve(load(file(text)), PAIR, PAIR)


def test_the_notebook_itself_compares_two_values():
    cell = "min_scale: int = 4  # few; 1..max_scale\nmax_scale: int = 8  # most; 1..100"
    with pytest.raises(ParameterError, match="injected parameters: min_scale is 9"):
        check("06_x", {"In": [cell], "min_scale": 9})


def test_a_range_ends_only_at_a_parameter_of_the_same_notebook(tmp_path):
    with pytest.raises(ParameterError, match="min_scale needs max_scale beside it"):
        declared([notebook(tmp_path, "06_x", "min_scale: int = 4  # few; 1..max_scale")])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ParameterError, match="nowhere"):
        load(tmp_path / "nowhere.yml")


def test_the_command_line_is_read_by_declared_types():
    texts = ["worker_count=8", "wait_s=2", "adopt=true", "zones=a, b", "cluster=a=b"]
    values = {name: s.value for name, s in read_arguments(texts, DECLARED).items()}
    assert {
        "worker_count": 8,
        "wait_s": 2.0,
        "adopt": True,
        "zones": ["a", "b"],
        "cluster": "a=b",
    } == values


def test_all_problems_are_reported_at_once_with_value_rule_and_place(file):
    settings = load(file("worker_cuont: 3\nworker_count: 0\ncluster: 24.04\n")) | read_arguments(
        ["wait_s=soon", "adopt=perhaps"], DECLARED
    )
    with pytest.raises(ParameterError) as caught:
        resolve(settings, DECLARED, DECLARED)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert "expected parameters as the notebooks declare them; 6 parameters are not" == lines[0]
    assert lines[1].endswith(
        "lab.yml:1: no notebook declares worker_cuont; did you mean worker_count?"
    )
    assert lines[2].endswith(":2: worker_count is 0, expected int 1..20 (how many workers)")
    assert lines[3].endswith("is 24.04, expected str (tags everything); a text needs quotes")
    assert (
        "-p wait_s=soon: wait_s is 'soon', expected float 0.. (seconds between two batches)"
        == lines[4]
    )
    assert lines[5].startswith("-p adopt=perhaps: ")
    assert lines[6].endswith("tiles_url is missing (required: where the parts are)")
    assert lines[7].startswith("next: ")


def test_what_the_chosen_notebooks_do_not_need_may_be_missing():
    needed = {name: p for name, p in DECLARED.items() if name != "tiles_url"}
    assert {} == resolve({}, DECLARED, needed)


def test_a_notebook_gets_only_its_own_names(tmp_path):
    one = notebook(tmp_path, "01_x", "a: int = 1  # a")
    assert {"a": 5} == own(one, {"a": 5, "b": 6})


def test_two_notebooks_may_not_declare_a_name_differently(tmp_path):
    one = notebook(tmp_path, "01_x", "a: int = 1  # a")
    two = notebook(tmp_path, "02_y", "a: int = 2  # a")
    with pytest.raises(ParameterError, match=r"02_y.*declared differently in.*01_x"):
        declared([one, two])


def test_a_default_must_follow_its_own_rule(tmp_path):
    with pytest.raises(ParameterError, match="a is 0, expected int 1"):
        declared([notebook(tmp_path, "01_x", "a: int = 0  # a; 1..5")])


def test_a_notebook_shows_the_values_in_effect():
    table = check("01_x", {"In": ["", CELL], "tiles_url": "http://x", "worker_count": 8})
    assert ("worker_count", "8", "how many workers") in table.rows
    assert ">8</td>" in table._repr_html_()
    assert "worker_count = 8  # how many workers" in repr(table)


def test_a_list_is_shown_as_text():
    cell = 'surfaces: list = ["A", "B"]  # of a tile; /[A-Z]/\nmore: list = []  # others; /[A-Z]/\n'
    table = check("01_x", {"In": ["", cell], "surfaces": ["A", "B"]})
    assert ["A, B", ""] == [value for _, value, _ in table.rows]


def test_a_person_gets_the_same_error_under_the_finger():
    edited = CELL.replace("= 4", "= 40").replace('url: str = ""', 'url: str = "x"')
    with pytest.raises(ParameterError) as caught:
        check("01_x", {"In": ["", CELL, "1 + 1", edited, "more = 1"], "worker_count": 40})
    assert "01_x, parameters cell, line 3: worker_count is 40, expected int 1..20" in str(
        caught.value
    )


def test_a_value_that_papermill_injected_is_checked_too():
    with pytest.raises(ParameterError, match="01_x, injected parameters: worker_count is 99"):
        check("01_x", {"In": ["", CELL, "worker_count = 99"], "worker_count": 99, "tiles_url": "x"})


def test_a_check_before_the_parameters_cell_says_what_to_run():
    with pytest.raises(ParameterError, match="run the cell at the top"):
        check("01_x", {"In": ["", "1 + 1"]})
