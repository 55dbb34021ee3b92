#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "data/options.h"

namespace graft {

/// A data file that lives as long as its test.
class RowFile {
 public:
  explicit RowFile(std::string_view contents, const std::string& name = "rows.jsonl")
      : folder_(testing::TempDir() + "graft_data_" + std::to_string(::getpid()) + "_" +
                testing::UnitTest::GetInstance()->current_test_info()->name()),
        path_(folder_ / name) {
    make_folder(folder_);
    write_file(path_, contents);
  }
  ~RowFile() { graft::remove_all(folder_); }
  RowFile(const RowFile&) = delete;
  std::string path() const { return path_.string(); }
  DataSource source(const std::string& format = "auto") const { return {.path = path(), .format = format}; }

 private:
  Path folder_, path_;
};

/// The Error that `work` throws; a failure of the test where it throws none.
inline Error error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no Error";
  return Error(ExitCode::kInternal, "");
}

/// The message of that Error with the path of `file` written as FILE.
inline std::string message_of(const RowFile& file, const std::function<void()>& work) {
  std::string message = error_of(work).what();
  for (std::size_t at; (at = message.find(file.path())) != std::string::npos;) {
    message.replace(at, file.path().size(), "FILE");
  }
  return message;
}

}  // namespace graft
