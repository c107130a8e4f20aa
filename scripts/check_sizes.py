#!/usr/bin/env python3
"""Fails on a function of more than 80 lines, and on a source file of more than 400 whose head comment does not say why it is
one: "Long: …".

  check_sizes.py ROOT         reads every .hpp and .cpp, those of tests/ and bench/ too
  check_sizes.py --self-test  proves that long files and functions are found, and that a reason counts

clang-tidy (readability-function-size) counts functions too, where it runs: not in tests. Here their ends are found by the
indentation that clang-format gives them.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 400
MOST_OF_FUNCTION = 80
HEAD = 12    # lines in which the reason stands
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SCOPE = re.compile(r"(inline |template\b.*)?\b(namespace|class|struct|enum|union|extern)\b[^(]*\{")
OPENS = re.compile(r"\{\s*(//.*)?$")
ENDS = re.compile(r"[{;]\s*(//.*)?$")


def functions(lines, first, last, indent):
    """(line, number of lines) of each block with parentheses in its head, also inside namespaces and classes."""
    at = first
    while at < last:
        line = lines[at]
        if not line.startswith(" " * indent) or len(line) <= indent or line[indent] in " }/#":
            at += 1
            continue
        head = at
        while head < last and not ENDS.search(lines[head]):
            head += 1
        if head == last or not OPENS.search(lines[head]):
            at = head + 1
            continue
        end = head + 1
        while end < last and not lines[end].startswith(" " * indent + "}"):
            end += 1
        said = STRING.sub('""', " ".join(lines[at:head + 1])).strip()
        if SCOPE.match(said):
            inner = indent if re.match(r"(inline )?namespace|extern", said) else indent + 2
            yield from functions(lines, head + 1, end, inner)
        elif "(" in said:
            yield at + 1, end - at + 1
        at = end + 1


def problems(name, text):
    lines = text.splitlines()
    found = [f"{name}:{line}: a function of {count} lines; divide it by job" for line, count in functions(lines, 0, len(lines), 0)
             if count > MOST_OF_FUNCTION]
    if len(lines) > MOST and not any(line.lstrip().startswith("// Long: ") for line in lines[:HEAD]):
        found.append(f"{name}: {len(lines)} lines; divide it by job, or say in its head comment why it is one file (// Long: …)")
    return found


def sources(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.hpp", "*.cpp"],
                            check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in listed if (Path(root) / name).exists()]


def self_test():
    long = "int x;\n" * (MOST + 1)
    assert problems("a.cpp", long) and not problems("a.cpp", "int x;\n" * MOST)
    assert not problems("a.cpp", "#include <a>\n// Long: a table.\n" + long)
    assert problems("a.cpp", "int x;\n" * HEAD + "// Long: too late.\n" + long)

    def body(lines, indent=""):
        return f"{indent}  if (x) {{\n{indent}  }}\n" + f"{indent}  x;\n" * (lines - 4)
    for head, indent, tail in (("void f() {\n", "", "}\n"), ("TEST_CASE(\n    \"a = {;\",\n    \"[b]\") {\n", "", "}\n"),
                               ("namespace a {\nstruct B : C<D> {\n  E e;\n\n  void f(int i) override {  // g\n", "  ", "  }\n};\n}\n"),
                               ("inline namespace a {\ntemplate <class T>\nvoid f(T) {\n", "", "}\n}\n")):
        own = 2 if "TEST_CASE" in head else 1 if "template" in head else 0     # further lines of its head
        least = MOST_OF_FUNCTION - own
        assert not problems("a.cpp", head + body(least, indent) + tail), head
        assert len(problems("a.cpp", head + body(least + 1, indent) + tail)) == 1, head
    assert not problems("a.cpp", "const A table[] = {\n" + "  {f(1)},\n" * 200 + "};\nclass F;\nint g(int);\n" + "// x {\n" * 100)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["git", "init", "-q", root], check=True)
        for folder in ("base", "tests"):
            (Path(root) / folder).mkdir()
            (Path(root) / folder / "a.cpp").write_text(long)
        assert sources(root) == ["base/a.cpp", "tests/a.cpp"]
    print("check_sizes.py --self-test: passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1]
    names = sources(root)
    found = [one for name in names for one in problems(name, (Path(root) / name).read_text(errors="replace"))]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"sizes: {len(names)} files, {len(found)} too long")
    return 1 if found or not names else 0


sys.exit(main())
