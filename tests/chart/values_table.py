#!/usr/bin/env python3
"""The table of chart values in docs/operations.md, made from values.yaml and its "# --" comments.

values_table.py prints it; --write puts it between the markers of docs/operations.md; the
chart's test compares the two.
"""

import json
import re
import sys

import yaml

from helm import CHART, REPO

MANUAL = REPO / "docs" / "operations.md"
BEGIN, END = "<!-- values: begin -->\n", "<!-- values: end -->\n"


def comments(text):
    """{key path: text of the comment lines above it that begin with "# --"}"""
    found, stack, pending = {}, [], ""
    literal_indent = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if literal_indent is not None:
            if not line.strip() or indent > literal_indent:
                continue
            literal_indent = None
        note = re.match(r"\s*# -- (.*)", line)
        if note:
            pending = note[1]
            continue
        key = re.match(r"\s*([\w-]+):(.*)$", line)
        if not key:
            continue
        while stack and stack[-1][0] >= indent:
            stack.pop()
        stack.append((indent, key[1]))
        if key[2].strip() in ("|", ">"):
            literal_indent = indent
        if pending:
            found[".".join(name for _, name in stack)] = pending
            pending = ""
    return found


def rows(values, notes, prefix=""):
    for key, value in values.items():
        path = f"{prefix}{key}"
        nested = isinstance(value, dict) and value and path not in notes
        if isinstance(value, dict) and value and path.endswith(("image", "imageNew")):
            keys = ", ".join(f"`{k}`" for k in value)
            shown = "/".join(filter(None, (value["registry"], value["repository"]))) or "(ours)"
            note = notes.get(path, "image: " + keys)
            yield path + ".*", shown, note
        elif nested:
            yield from rows(value, notes, path + ".")
        else:
            shown = (
                json.dumps(value)
                if not isinstance(value, str) or not value.count("\n")
                else "(sample)"
            )
            yield path, shown, notes.get(path, "")


def generated():
    text = (CHART / "values.yaml").read_text()
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for path, default, note in rows(yaml.safe_load(text), comments(text)):
        lines.append(f"| `{path}` | `{default}` | {note.replace('|', '&#124;')} |")
    return "\n".join(lines) + "\n"


def current():
    text = MANUAL.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def main():
    if sys.argv[1:] == ["--write"]:
        text = MANUAL.read_text()
        begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        MANUAL.write_text(text[:begin] + generated() + text[end:])
    else:
        print(generated(), end="")


if __name__ == "__main__":
    main()
