"""What the parser says, in plain words."""

import pytest

from rnp_pyro.api.plain_errors import plain


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Expected a <class 'int'>. Got value: x", "expected a whole number, got x"),
        ("Expected a <class 'tuple'>. Got value: 4", "expected a list in quotes such as '[1, 2]', got 4"),
        ("Expected a typing.Literal['a', 'b', 'c']. Got value: d", "expected a, b or c, got d"),
        ("Expected a typing.Literal['a']. Got value: b.c", "expected a, got b.c"),
        ("Expected a <class 'some.module.Kind'>. Got value: [1]", "expected Kind, got [1]"),
        (
            "Does not validate against any of the Union subtypes\nSubtypes: [<class 'float'>, <class 'NoneType'>]\n"
            "Errors:\n  - Expected a <class 'float'>\n  - Expected a <class 'NoneType'>\n"
            "Given value type: <class 'str'>\nGiven value: abc",
            "expected a number or null, got abc",
        ),
        (
            "Does not validate against any of the Union subtypes\n"
            "Subtypes: [typing.Literal['a', 'b'], collections.abc.Sequence[int], <class 'bool'>]\nGiven value: 3",
            "expected a or b or a list in quotes such as '[1, 2]' or true or false, got 3",
        ),
        ("something else", "something else"),
    ],
)
def test_plain(message: str, expected: str):
    assert plain(f'Parser key "train.x": {message}') == f"--train.x: {expected}"


@pytest.mark.thorough
def test_what_is_left_out_is_named_as_in_the_help():
    assert plain("the following arguments are required: run, out") == "expected RUN and --out, got none"


def test_an_element_of_a_list_has_its_option_s_name():
    assert plain("Parser key \"given\" element 2: Expected a <class 'int'>. Got value: a") == (
        "--given: expected a whole number, got a"
    )


def test_other_messages_stay():
    assert plain("unrecognized arguments: --nope\n") == "unrecognized arguments: --nope"
