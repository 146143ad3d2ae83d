"""The page's script and style in fewer characters: they mean what they meant."""

import pytest

from ml2021.report.explore.minify import minified, minified_style
from ml2021.report.explore.page import _check_names, script

SAME = {
    "strings": """const text = "a // b" + 'c /* d */ "e"' + "\\"f ,  g";""",
    "templates": "const text = `a  // ${ `b ${ { c: 1 }.c } }` } d  #{e} \\` ${2}`;",
    "patterns": "const ends = (t) => t.split(/[/\"'`]/).length / 2 / /\\//g.exec(t).index;",
    "signs": "let a = 1; const b = a++ + +a - -a - --a;",
    "numbers": "const n = 1_000 + .5 + 1.5e-3 + 0xff + 2 ** 2;",
}
"""Of each: what it has to be, with the shortest names."""
SHORT = {
    "strings": """const a="a // b"+'c /* d */ "e"'+"\\"f ,  g";""",
    "templates": "const a=`a  // ${`b ${{c:1}.c} }`} d  #{e} \\` ${2}`;",
    "patterns": "const b=(a)=>a.split(/[/\"'`]/).length/2/ /\\//g.exec(a).index;",
    "signs": "let a=1;const b=a++ + +a- -a- --a;",
    "numbers": "const a=1_000+.5+1.5e-3+0xff+2**2;",
}


@pytest.mark.parametrize("name", SAME)
def test_no_more_than_space_and_names_change(name: str) -> None:
    assert minified(SAME[name]) == SHORT[name]


def test_variables_are_renamed_and_properties_are_not() -> None:
    text = """
      // A comment.
      const { width, height: tall = 2, ...others } = imported();
      class Box extends Shape {
        static count = 0; /* another */
        #own = width;
        shares = (found) => found.width + this.#own;
        get width() { return this.#own; }
        *all({ width = 1 }, [first, ]) { yield { width, tall, first, others, width: others.w }; }
      }
      function Shape(width) { return width ? { width, get tall() { return tall; } } : imported; }
    """
    assert minified(text, {"imported", "Shape"}) == (
        "const{width:a,height:b=2,...c}=imported();class g extends Shape{static count=0;#d=a;"
        "shares=(e)=>e.width+this.#d;get width(){return this.#d;}"
        "*all({width:a=1},[f]){yield{width:a,tall:b,first:f,others:c,width:c.w};}}"
        "function Shape(a){return a?{width:a,get tall(){return b;}}:imported;}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "const a = unknown(1);",
        "const a = [1].map(Unknown);",
        "const a = { unknown };",
        "if (unknown) { const a = 1; }",
        "const a = (1;",
        "const a = 'open;",
        "const a = @1;",
    ],
)
def test_what_it_does_not_understand_is_an_error(text: str) -> None:
    with pytest.raises(AssertionError):
        minified(text)


def test_a_name_that_two_modules_export_is_an_error() -> None:
    _check_names({"one.js": ["a", "b"], "two.js": ["c"]})
    with pytest.raises(AssertionError, match=r"one\.js and two\.js both export b"):
        _check_names({"one.js": ["a", "b"], "two.js": ["c", "b"]})


def test_a_style_keeps_what_separates() -> None:
    style = """
      /* words */
      .a .b > p, .c::before { margin: 1px  2px; font: 16px/1.5 "A, B"; width: calc(1px + 2%); }
      @media (max-width: 760px) { .d { color: red !important; } }
    """
    assert minified_style(style) == (
        '.a .b > p,.c::before{margin:1px 2px;font:16px/1.5 "A, B";width:calc(1px + 2%);}'
        "@media (max-width:760px){.d{color:red !important;}}"
    )


def test_the_same_modules_give_the_same_script() -> None:
    assert script() == script()
    assert "//" not in script().replace("http://www.w3.org", "")
