#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "temporary_folder.h"

namespace graft {

/// What one run of the program did.
struct Outcome {
  int code;
  std::string out, err;
};

/// The built program, run by a shell in a folder of its own.
class Program : public testing::Test {
 protected:
  Outcome run(const std::string& arguments) const {
    const std::string command = "cd '" + folder_.path().string() +
                                "' && OMP_NUM_THREADS=2 '" GRAFT_BINARY_DIR "/graft' " + arguments +
                                " >out.txt 2>err.txt";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read("out.txt"), read("err.txt")};
  }
  std::string read(const std::string& name) const { return read_file(folder_ / name, 1 << 24); }
  void write(const std::string& name, const std::string& text) const { write_file(folder_ / name, text); }
  /// A recipe over the tiny model and four rows, one of them raw tokens.
  void write_recipe() const {
    write("rows.jsonl",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yes\"}"
          "]}\n"
          "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}"
          "\n");
    write("r.yaml", "output_dir: run\nmodel: {path: " + kBase + "}\ndata: {train: [{path: rows.jsonl}]}\n");
  }

  const std::string kBase = GRAFT_SOURCE_DIR "/tests/golden/tiny_llama";
  TemporaryFolder folder_;
};

}  // namespace graft
