"""The rules of scripts/check_layers.py refuse what they should and nothing else. Runs in ctest as `layers.rules`."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import check_layers  # noqa: E402


def breaches(name, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        return list(check_layers.check_tree(Path(folder)))


class Includes(unittest.TestCase):
    def refused(self, room, line, reason):
        self.assertEqual([f"src/{room}/x.cpp:2: {reason}"], breaches(f"src/{room}/x.cpp", f"\n#include {line}\n"))

    def allowed(self, room, line):
        self.assertEqual([], breaches(f"src/{room}/x.cpp", f"#include {line}\n"))

    def test_rooms(self):
        self.allowed("store", '"kernels/dtype.h"')
        self.allowed("cli", '"train/trainer.h"')
        self.refused("store", '"text/tokenizer.h"', "store may not include text (`text/tokenizer.h`)")
        self.refused("base", '"file.h"', "`file.h` is in no room (write the full path from src/)")

    def test_recipe_sees_options_only(self):
        self.allowed("recipe", '"train/options.h"')
        self.refused("recipe", '"data/row.h"', "recipe may not include data (`data/row.h`)")

    def test_libraries(self):
        self.allowed("ops", "<ATen/ATen.h>")
        self.allowed("base", "<vector>")
        self.allowed("base", "<sys/mman.h>")
        self.refused("store", "<ATen/ATen.h>", "store may not use libtorch (`ATen/ATen.h`)")
        self.refused("data", "<nlohmann/json.hpp>", "data may not use nlohmann-json (`nlohmann/json.hpp`)")
        self.refused("cli", "<yaml-cpp/yaml.h>", "cli may not use yaml-cpp (`yaml-cpp/yaml.h`)")
        self.refused("text", "<curl/curl.h>", "`curl/curl.h` belongs to no library that scripts/check_layers.py knows")

    def test_options_include_nothing_of_ours(self):
        self.assertEqual(1, len(breaches("src/train/options.h", '#include "base/file.h"\n')))
        self.assertEqual([], breaches("src/train/options.h", "#include <string>\n"))


class Lengths(unittest.TestCase):
    @staticmethod
    def function(lines):
        return "namespace graft {\nint f(int a) {\n" + "  if (a) { a = 1; }\n" * (lines - 2) + "}\n}\n"

    def test_functions(self):
        self.assertEqual([], breaches("src/base/x.cpp", self.function(60)))
        self.assertEqual(["src/base/x.cpp:2: a function of 61 lines, want at most 60"],
                         breaches("src/base/x.cpp", self.function(61)))

    def test_functions_in_classes(self):
        text = "class X {\n public:\n  X() : a_(1) {\n" + "    a();\n" * 60 + "  }\n};\n"
        self.assertEqual(["src/base/x.cpp:2: a function of 63 lines, want at most 60"], breaches("src/base/x.cpp", text))

    def test_classes_are_no_functions(self):
        text = "struct X {\n" + "  int f() { return 1; }\n" * 100 + "};\n"
        self.assertEqual([], breaches("src/base/x.h", text))

    def test_braces_in_text_do_not_count(self):
        text = 'int f() {\n  g("{", \'{\', R"({ " {)");  // {\n}\n' + "int a;\n" * 100
        self.assertEqual([], breaches("src/base/x.cpp", text))

    def test_files(self):
        self.assertEqual([], breaches("src/base/x.cpp", "int a;\n" * 400))
        self.assertEqual(["src/base/x.cpp: 401 lines, want at most 400"], breaches("src/base/x.cpp", "int a;\n" * 401))


class Names(unittest.TestCase):
    def test_names(self):
        self.assertEqual(["src/base/file_utils.cpp: `file_utils` says nothing about what is in it"],
                         breaches("src/base/file_utils.cpp", ""))
        self.assertEqual(["src/helpers/x.cpp: `helpers` says nothing about what is in it",
                          "src/helpers/x.cpp: `helpers` is no room"], breaches("src/helpers/x.cpp", ""))
        self.assertEqual([], breaches("src/base/mutils.cpp", ""))


if __name__ == "__main__":
    unittest.main()
