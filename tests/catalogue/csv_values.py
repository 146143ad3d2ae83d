"""34 to 43: cell values."""

from collections.abc import Sequence
from dataclasses import replace

from tests.catalogue.case import Case, columns, put

TRAIN = "train --quiet --config number.yaml"
MISSING = '["", "NA", "N/A", "null", "None", "NaN"]'


def remedy(cell: object, missing: str = MISSING) -> str:
    """Return what to do about a cell that is listed as missing beside those that are."""
    return f'correct it, or list it in data.missing: {missing[:-1]}, "{cell}"]'


A = [0.5, -0.5, 1.5]  # the first cells of column a, before the odd one


def refused(
    number: int, name: str, cell: object, line: str, *settings: str, missing: str = MISSING
) -> Case:
    """Return the row of a refused cell in a column of numbers, on line 5 of the file."""
    return Case(
        numbers=(number,),
        name=name,
        given=(columns("train.csv", 120, 0, a=[*A, cell]),),
        command=" ".join([TRAIN, *settings]),
        code=3,
        lines=(f"train.csv:5: column 'a': {line}; {remedy(cell, missing)}",),
    )


def rewritten(number: int, name: str, cell: str, line: str) -> Case:
    """Return the row of a refused number in another writing."""
    case = refused(number, name, cell, "")
    return replace(case, lines=(f"train.csv:5: column 'a': '{line}",))


def noted(number: int, name: str, *lines: str, **cells: Sequence[object]) -> Case:
    """Return the row of cells that are accepted with a note."""
    return Case(
        numbers=(number,),
        name=name,
        given=(columns("train.csv", 120, 0, **cells),),
        command="train --config number.yaml --run-dir run",
        code=0,
        lines=lines,
        leaves=("run",),
    )


CASES = [
    refused(34, "text among numbers", "oops", "'oops' is not a number"),
    Case(
        numbers=(34,),
        name="text where training had numbers",
        given=(columns("new.csv", a=["few"] * 20),),
        command="predict new.csv --run runs/number",
        code=3,
        lines=(
            "new.csv:2: column 'a': 'few' (20 cells) is not a number; correct it, or list it by "
            f"--set 'data.missing={MISSING[:-1]}, \"few\"]'",
        ),
    ),
    Case(
        numbers=(34,),
        name="a negative weight",
        given=(columns("train.csv", 120, 0, w=[1, -2, *[1] * 118]),),
        command="train --quiet --config number.yaml --set data.weight=w",
        code=3,
        lines=(
            "train.csv:3: column 'w', used as data.weight: -2 is negative; correct it, or set it "
            "to 0 to leave the row out",
        ),
    ),
    noted(
        35,
        "what is missing",
        "  - missing values filled with the median and flagged: a ({n})",
        "  - 3 rows excluded: no target",
        "regression of y: rows 82 train, 12 validation, 23 test",
        a=["", "NA", "N/A", "null", "None", "NaN"],
        y=[1.5, "", "NaN", 2.5, "null"],
    ),
    Case(
        numbers=(35,),
        name="no value in any training row",
        given=(put("gone.csv", "c,y,s\n,1,train\nNA,2,train\na,3,test\n"),),
        command="train --quiet --config number.yaml --set data.path=gone.csv "
        "--set data.exclude=[] --set 'data.split={method: column, column: s}'",
        code=3,
        lines=(
            "{here}/gone.csv: every feature is constant or empty in the training rows, so nothing "
            "is left to predict from; see data.features and data.split",
        ),
    ),
    Case(
        numbers=(35,),
        name="a price as a class",
        command="train --quiet --config number.yaml --set task=classification",
        code=3,
        lines=(
            "column 'y' has {n} distinct numbers in 120 rows, too many for classes; choose another "
            "data.target, or set task: regression",
        ),
    ),
    Case(
        numbers=(35,),
        name="what is missing in a table to score",
        given=(columns("new.csv", a=["", "NA"], y=["", 2.5, "NaN", "None"]),),
        command="evaluate new.csv --run runs/number",
        code=0,
        lines=("  - rows without a target, left out: 3", "  - missing values filled: a 1"),
    ),
    refused(36, "infinity", "-inf", "'-inf' is not a finite number"),
    refused(
        36,
        "nan where it does not mean missing",
        "+nan",
        "'+nan' is not a finite number",
        "--set data.missing=[NA]",
        missing='["NA"]',
    ),
    refused(37, "infinite in 64 bits", "1e400", "'1e400' is too large (the limit is about 3.4e38)"),
    refused(37, "infinite in 32 bits", "-1e39", "'-1e39' is too large (the limit is about 3.4e38)"),
    noted(
        38,
        "whole numbers that lose digits",
        "  - a: integers in this range lose digits in float32",
        a=[2**24 + 2 * row + row % 3 for row in range(119)] + [1],
    ),
    rewritten(
        39,
        "a number as Python writes it",
        "1_000",
        "1_000' is a number with the thousands mark '_'; write 1000, or set data.thousands: \"_\"",
    ),
    rewritten(
        39, "non-ASCII digits", "١٢", "١٢' is a number with digits of another script; write 12"
    ),
    rewritten(
        40,
        "a thousands mark",
        "1,000",
        "1,000' is a number with the thousands mark ','; write 1000, or set data.thousands: \",\"",
    ),
    rewritten(
        40,
        "a number in parentheses, with a currency",
        "($1,234.50)",
        "($1,234.50)' is a number with parentheses for minus and the currency '$' and the "
        "thousands mark ','; write -1234.50",
    ),
    refused(40, "a hexadecimal number", "0x10", "'0x10' is not a number"),
    Case(
        numbers=(35,),
        name="a word for missing values that is not listed",
        given=(columns("train.csv", 120, 0, a=[*A, *["NULL"] * 90]),),
        command=TRAIN,
        code=3,
        lines=(
            "train.csv:5: column 'a': 'NULL' (90 cells) is not a number; if it means missing, set "
            'data.missing: ["", "NA", "N/A", "null", "None", "NaN", "NULL"]',
        ),
    ),
    Case(
        numbers=(40,),
        name="thousands marks in most of a column",
        given=(columns("train.csv", 120, 0, a=[*A, *(f"4,{i:03},985" for i in range(90))]),),
        command=TRAIN,
        code=3,
        lines=(
            "train.csv:5: column 'a': numbers with the thousands mark ',' ('4,000,985'); set "
            'data.thousands: "," (and 89 more in this column)',
        ),
    ),
    Case(
        numbers=(40,),
        name="a target of percentages",
        given=(columns("train.csv", 120, 0, y=[f"{i}%" for i in range(120)]),),
        command=TRAIN,
        code=3,
        lines=(
            "column 'y' holds numbers with a percent sign ('0%'); write plain numbers, such as 0; "
            "if these are classes, set task: classification",
        ),
    ),
    Case(
        numbers=(40,),
        name="a target of numbers beside words",
        given=(
            columns("train.csv", 120, 0, y=[i if i % 3 else "abc"[i % 9 // 3] for i in range(120)]),
        ),
        command=TRAIN,
        code=3,
        lines=(
            "column 'y' holds 67 % numbers beside 'a' (14 cells), 'b' (13 cells), 'c' (13 cells); "
            "if this means missing, list it in data.missing: "
            f'{MISSING[:-1]}, "a", "b", "c"]; if these are classes, set task: classification',
        ),
    ),
    rewritten(40, "a percentage", "5%", "5%' is a number with a percent sign; write 5"),
    noted(41, "true and false", "  - one-hot: colour (2)", colour=["True", "False"] * 60),
    rewritten(
        42,
        "a non-breaking space",
        "\xa01.5",
        "\\xa01.5' is a number with a blank of another kind (U+00A0); write 1.5",
    ),
    noted(
        43,
        "rows that are in several parts",
        "  - {n} of 12 validation rows, {n} of 24 test rows are the same as rows of another part, "
        "in every feature in use and the target; if they are copies, scores are too good: remove "
        "them",
        a=[*range(60)] * 2,
        b=[0.5] * 120,
        colour=["red", "blue"] * 60,
        y=[*range(60)] * 2,
    ),
    Case(
        numbers=(43,),
        name="many, far down",
        given=(
            put("c.yaml", "data: {path: t.csv, target: y}\n"),
            put(
                "t.csv",
                "x,y\n"
                + "".join(f"{row % 50},{row % 7}\n" for row in range(150_000))
                + "bad,1\n" * 1_234
                + "".join(f"{row % 50},{row % 7}\n" for row in range(20_000)),
            ),
        ),
        command="train --quiet --config c.yaml",
        code=3,
        lines=(
            f"t.csv:150002: column 'x': 'bad' (1,234 cells) is not a number; {remedy('bad')}; "
            "if these are labels, set data.types: {x: category}",
        ),
    ),
    Case(
        numbers=(43,),
        name="classes beyond 2^53 that floats would merge, beside a missing one",
        given=(
            put("t.csv", "x,y\n" + "".join(f"{n},{2**53 + n % 2}\n" for n in range(30)) + "1,\n"),
        ),
        command="train --quiet --config number.yaml --set data.path=t.csv --set 'data.exclude=[]' "
        "--set task=classification",
        code=3,
        lines=(
            "column 'y': integers above 2^53 cannot be distinguished as categories; prefix "
            "them with a letter to make them text",
        ),
    ),
]
