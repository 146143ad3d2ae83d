"""Modules and style sheets in fewer characters, by a third.

They lose comments and needless white space, and what a module keeps to itself has a short name. As
much of JavaScript is read as the page's modules are written in. A line break ends no statement;
there are no labels, no `switch`, no `with`, and no pattern after a bracket that closes. A name that
is neither declared in its module, nor imported, nor known of the browser is an error, and so is
what is no token at all.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import product
from string import ascii_letters

_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*")
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>0x[\da-fA-F]+|(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?)
    |(?P<name>\#?[A-Za-z_$][\w$]*)
    |(?P<sign>=>|\.\.\.|\?\.(?!\d)|\+\+|--|[-{}()\[\];,<>+*/%&|^!~?:=.`])""",
    re.VERBOSE,
)
_PATTERN = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)  # in a template
_RULE = re.compile(r"""("[^"]*")|\s*([{};,])\s*|(:)\s+|\s+""")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS = _words(
    "async await break catch class const continue delete do else extends false finally for "
    "function get if in instanceof let new null of return set static super this throw true try "
    "typeof undefined void while yield"
)
_BROWSER = _words(
    "Array BigInt Blob Boolean CustomEvent DataView Date DecompressionStream Error Float32Array "
    "Float64Array Infinity Intl JSON Map Math NaN Number Object Promise RegExp "
    "ResizeObserver Response Set String TextDecoder URL URLSearchParams Uint16Array Uint32Array "
    "Uint8Array WeakMap atob clearTimeout crypto document globalThis history innerWidth location "
    "matchMedia parseInt performance requestAnimationFrame setTimeout window"
)
_OPERATORS = _words("await case delete else in instanceof of return throw typeof void yield")
_ENDS = frozenset((")", "]", "}"))
_BLOCK_AFTER = frozenset(("", ")", "=>", "else", "try", "finally", "do", "catch", ";", "{", "}"))
_MODIFIERS = frozenset(("get", "set", "static", "async"))
_MEMBER_AFTER = frozenset(("{", "}", ";"))
_DECLARING = frozenset(("const", "let", "class", "function"))
_RENAMED = frozenset(("variable", "both", "private"))
_CLOSING = {"(": ")", "[": "]", "block": "}", "object": "}", "class": "}", "${": "}"}


@dataclass
class _Token:
    """A token of a module.

    kind: string, number, sign, text (of a template) or pattern; of a name it is word, variable,
    property, private, or both, for a property that is named like its variable.
    """

    text: str
    kind: str
    is_declared: bool = False


def minified(text: str, outside: Collection[str] = ()) -> str:
    """Return a module in fewer characters; the names of `outside` stay: imports and exports.

    The same text gives the same one.
    """
    tokens = [*_Reader(text).tokens()]
    short = _short_names(tokens, outside)
    parts: list[str] = []
    for token, following in zip(tokens, [*tokens[1:], _Token("", "sign")], strict=True):
        if token.text == "," and following.text in (")", "]", "}"):
            continue
        new = token.text
        if token.kind in _RENAMED:
            new = short.get(new, new)
        if token.kind == "both" and new != token.text:
            new = f"{token.text}:{new}"
        if parts and _stick(parts[-1][-1:], new[:1]):
            parts.append(" ")
        parts.append(new)
    return "".join(parts)


def minified_style(text: str) -> str:
    """Return a style sheet without comments, and without white space that separates nothing."""
    text = re.sub(r"/\*(?:[^*]|\*(?!/))*\*/", "", text).strip()
    return _RULE.sub(lambda found: found[1] or found[2] or found[3] or " ", text)


def _stick(last: str, new: str) -> bool:
    """Return whether the ends of two tokens would be read as one without a space between them."""
    if last in "+-/":
        return last == new
    return all(letter.isalnum() or letter in "_$#" for letter in (last, new))


def _short_names(tokens: list[_Token], outside: Collection[str]) -> dict[str, str]:
    """Return a short name for each variable and private property; the most frequent come first."""
    names = [token for token in tokens if token.kind in _RENAMED]
    taken = {*_WORDS, *_BROWSER, *outside}
    counts = Counter(t.text for t in names if t.text not in taken)
    known = {token.text for token in names if token.is_declared}
    assert not (unknown := counts.keys() - known), f"declared nowhere: {', '.join(unknown)}"
    fresh = (
        name
        for length in (1, 2, 3)
        for letters in product(ascii_letters, repeat=length)
        if (name := "".join(letters)) not in taken
    )
    return {
        name: f"#{short}" if name[0] == "#" else short
        for (name, _), short in zip(counts.most_common(), fresh, strict=False)
    }


@dataclass
class _Bracket:
    """An open bracket.

    kind: (, [, block, object, class, or ${ of a template; before: the token before it; names: those
    in it that it declares if it is a pattern or a list of parameters.
    """

    kind: str
    before: str
    names: list[_Token] = field(default_factory=list)


class _Reader:
    """Reads the tokens of a module. inside: what is open; last: the token before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.inside = [_Bracket("block", "")]
        self.last = ""
        self.is_class = False  # whether the next brace opens one

    def tokens(self) -> Iterator[_Token]:
        self._skip_space()
        while self.at < len(self.text):
            yield (found := self._next())
            is_text = found.text == "`" or (found.text == "}" and self.inside[-1].kind == "${")
            self._follow(found)
            if is_text:
                yield self._template_text()
            self._skip_space()
        assert len(self.inside) == 1, f"{self.inside[-1].kind} is never closed"

    def _next(self) -> _Token:
        is_value = self.last[-1:].isalnum() and self.last not in _OPERATORS
        divides = is_value or self.last in _ENDS
        if self.text[self.at] == "/" and not divides:
            return _Token(self._take(_PATTERN)[0], "pattern")
        found = self._take(_TOKEN)
        kind, text = str(found.lastgroup), found[0]
        if kind != "name":
            return _Token(text, kind)
        self._skip_space()
        return self._name(text, self.text[self.at : self.at + 2])

    def _name(self, text: str, following: str) -> _Token:
        """Return a name as what it is, by what stands before and after it."""
        place, last, after = self.inside[-1].kind, self.last, following[:1]
        if text[0] == "#":
            return _Token(text, "private", place == "class")
        is_generator = last == "*" and after == "("
        is_member = last in _MEMBER_AFTER or last in _MODIFIERS or is_generator
        if last in (".", "?.") or (place == "class" and is_member):
            return _Token(text, "property")
        is_key = place == "object" and last in ("{", ",", *_MODIFIERS)
        if is_key and after in (":", "("):
            return _Token(text, "property")
        if text in _WORDS:
            return _Token(text, "word")
        ends = after in (",", ")", "]", "}") or (after == "=" and following[1:2] not in ("=", ">"))
        found = _Token(text, "both" if is_key and ends else "variable")
        begins_list = after == "=" and last == ","  # const a = 1, b = 2
        found.is_declared = last in _DECLARING or following == "=>" or begins_list
        if ends and last in ("(", "[", "{", ",", ":", "..."):
            self.inside[-1].names.append(found)
        return found

    def _follow(self, token: _Token) -> None:
        """Take account of a token: of the bracket that it opens or closes."""
        text = token.text
        if text == "class" and token.kind == "word":
            self.is_class = True
        elif token.kind == "sign" and text in "([{":
            self.inside.append(_Bracket(self._opened(text), self.last))
            self.is_class = self.is_class and text != "{"
        elif token.kind == "sign" and text in ")]}":
            self._close(text)
        if text != "*" or self.last != "function":
            self.last = ")" if token.kind in ("pattern", "string") else text

    def _close(self, text: str) -> None:
        closed = self.inside.pop()
        assert _CLOSING[closed.kind] == text, f"{text} closes {closed.kind}: {self._here()}"
        start = _SPACE.match(self.text, self.at)
        assert start is not None
        following = self.text[start.end() : start.end() + 2]
        is_list = closed.before not in ("if", "for", "while") and following[:1] == "{"
        if closed.kind == "(":
            declares = is_list or following == "=>"
        else:
            is_next = closed.before == "," and following in ("= ", "=\n")  # const a = 1, [b] = c
            declares = closed.before in ("const", "let") or is_next
        if declares:
            for name in closed.names:
                name.is_declared = True
        elif closed.kind in ("[", "object"):
            self.inside[-1].names += closed.names

    def _opened(self, text: str) -> str:
        if text != "{":
            return text
        if self.is_class:
            return "class"
        return "block" if self.last in _BLOCK_AFTER else "object"

    def _template_text(self) -> _Token:
        text = self._take(_TEXT)[0]
        if text.endswith("${"):
            self.inside.append(_Bracket("${", self.last))
            self.last = "("
        else:
            self.last = ")"
        return _Token(text, "text")

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        assert found is not None, f"not understood: {self._here()}"
        self.at = found.end()
        return found

    def _here(self) -> str:
        return self.text[max(0, self.at - 40) : self.at + 40]
