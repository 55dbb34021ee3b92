#!/usr/bin/env python3
"""check_layers.py [ROOT]: checks the house rules of DESIGN that a compiler does not see.

Which room includes which, which room uses which library, the length of files and functions, and names of files.
Prints one line per breach and exits 1 if there is any. Runs in ctest as `layers`.
"""

import re
import sys
from pathlib import Path

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# Room -> rooms it may include beside itself; None: all of them.
ROOMS = {
    "base": "",
    "kernels": "base",
    "store": "base kernels",
    "text": "base store",
    "data": "base text",
    "recipe": "base",  # and options.h of any room
    "ops": "base kernels",
    "distributed": "base",
    "model": "base store ops distributed",
    "peft": "base store ops model",
    "adapters": "base store ops peft",
    "evaluate": "base data ops model peft",
    "train": "base store data ops model peft distributed evaluate",
    "generate": "base text ops model",
    "export": "base store text model peft adapters evaluate",
    "serve": "base data text model peft generate evaluate",
    "cli": None,
}
ENGINE = {"ops", "distributed", "model", "peft", "adapters", "evaluate", "train", "generate", "export", "serve", "cli"}

# Library -> the start of its headers, the rooms that may use it.
LIBRARIES = {
    "libtorch": (("ATen/", "c10/", "torch/", "caffe2/"), ENGINE),
    "nlohmann-json": (("nlohmann/",), {"base"}),
    "OpenSSL": (("openssl/",), {"base"}),
    "sentencepiece": (("sentencepiece",), {"text"}),
    "PCRE2": (("pcre2",), {"text", "peft"}),  # peft: target_modules as a regular expression
    "utf8proc": (("utf8proc",), {"text"}),
    "zlib": (("zlib.h",), {"data"}),
    "zstd": (("zstd.h",), {"data"}),
    "yaml-cpp": (("yaml-cpp/",), {"recipe"}),
    "Boost": (("boost/",), {"cli"}),
    "OpenMP": (("omp.h",), {"ops"}),
    "OS": (("sys/", "linux/"), None),
}
# Headers of the system without a folder; C++'s own have no suffix.
SYSTEM = {"cpuid.h", "dirent.h", "dlfcn.h", "errno.h", "fcntl.h", "immintrin.h", "limits.h", "malloc.h", "poll.h", "pthread.h",
          "pwd.h", "sched.h", "signal.h", "spawn.h", "stdio.h", "stdlib.h", "string.h", "termios.h", "time.h", "unistd.h"}

BANNED = {"util", "utils", "common", "helper", "helpers", "manager", "misc"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def rooms_of(room):
    return set(ROOMS) if ROOMS[room] is None else {room, *ROOMS[room].split()}


def check_own_include(room, target):
    """Why `room` may not include our header `target`, or None."""
    owner = target.split("/")[0]
    if owner not in ROOMS:
        return f"`{target}` is in no room (write the full path from src/)"
    if owner in rooms_of(room) or (room == "recipe" and target == f"{owner}/options.h"):
        return None
    return f"{room} may not include {owner} (`{target}`)"


def check_library_include(room, target):
    """Why `room` may not include the library header `target`, or None."""
    for name, (starts, users) in LIBRARIES.items():
        if target.startswith(starts):
            return None if users is None or room in users else f"{room} may not use {name} (`{target}`)"
    if "." not in target and "/" not in target:
        return None  # a C++ standard header
    return None if target in SYSTEM else f"`{target}` belongs to no library that scripts/check_layers.py knows"


def includes_of(text):
    return [(text.count("\n", 0, match.start()) + 1, match[1], match[2]) for match in INCLUDE.finditer(text)]


def check_includes(path, room, text):
    for line, mark, target in includes_of(text):
        reason = check_own_include(room, target) if mark == '"' else check_library_include(room, target)
        if reason is None and path.name == "options.h" and mark == '"':
            reason = "options.h includes nothing but the standard library"
        if reason:
            yield f"{path}:{line}: {reason}"


def blank_out(text):
    """The text with comments, strings and preprocessor lines replaced by spaces, lines kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|^[ \t]*#(?:\\\n|[^\n])*',
                         re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def functions_of(text):
    """(first line, last line) of each function: braces after a parameter list, outside of other functions."""
    text = blank_out(text)
    scopes, head_begin, result = [], 0, []
    for match in re.finditer(r"[{};]", text):
        at = match.start()
        in_function = any(kind == "function" for kind, _ in scopes)
        if match[0] == "{":
            head = text[head_begin:at]
            first = text.count("\n", 0, head_begin + len(head) - len(head.lstrip())) + 1
            is_scope = re.search(r"\b(namespace|class|struct|union|enum|extern)\b[^()]*$", head) or "(" not in head
            scopes.append(("scope" if in_function or is_scope else "function", first))
        elif match[0] == "}" and scopes:
            kind, first = scopes.pop()
            if kind == "function":
                result.append((first, text.count("\n", 0, at) + 1))
        head_begin = at + 1
    return result


def check_lengths(path, text):
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{path}: {lines} lines, want at most {MAX_FILE_LINES}"
    for first, last in functions_of(text):
        if last - first + 1 > MAX_FUNCTION_LINES:
            yield f"{path}:{first}: a function of {last - first + 1} lines, want at most {MAX_FUNCTION_LINES}"


def check_name(path):
    for part in path.with_suffix("").parts:
        if BANNED & set(part.lower().split("_")):
            yield f"{path}: `{part}` says nothing about what is in it"


def check_tree(root):
    """All breaches below `root`, paths relative to it."""
    for path in sorted([*root.glob("src/**/*"), *root.glob("tests/**/*"), *root.glob("scripts/**/*")]):
        relative = path.relative_to(root)
        if not path.is_file() or "golden" in relative.parts[:2] or "__pycache__" in relative.parts:
            continue
        yield from check_name(relative)
        if path.suffix not in (".h", ".cpp", ".cu", ".cuh"):
            continue
        text = path.read_text(encoding="utf-8")
        yield from check_lengths(relative, text)
        if relative.parts[0] == "src" and len(relative.parts) > 2:
            room = relative.parts[1]
            if room not in ROOMS:
                yield f"{relative}: `{room}` is no room"
            else:
                yield from check_includes(relative, room, text)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    breaches = list(check_tree(root))
    for breach in breaches:
        print(breach)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
