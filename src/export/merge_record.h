#pragma once

#include <map>
#include <optional>
#include <string>

#include "text/chat.h"

namespace graft {

/// What a merged model keeps of where it comes from.
struct MergeRecord {
  std::string base;  ///< name of the base's folder or file
  std::string
      base_weights;  ///< what the adapter was merged into: the type of the base's weights as they lie in
                     ///< its files ("bf16", "q4_1"), or the one that they were quantised to ("nf4")
  std::string adapter_sha256;                       ///< of the adapter's tensor file
  std::optional<ChatTemplate> chat = std::nullopt;  ///< the adapter's, where it is not the base's

  /// Keys and values for the metadata of its files: graft.merge.base, .base_weights, .adapter_sha256.
  std::map<std::string, std::string> metadata() const {
    return {{"graft.merge.base", base},
            {"graft.merge.base_weights", base_weights},
            {"graft.merge.adapter_sha256", adapter_sha256}};
  }
};

}  // namespace graft
