// Decoders of list pages and watch frames: only what the Reflector needs; objects stay raw JSON.
//
// Private to platform/kube. Not thread-safe (keeps its parser's buffers).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hami::kube {

struct ListPage {
  std::string resource_version;
  std::string continue_token;  // "" on the last page
  std::vector<std::string> items;
};

enum class WatchType : uint8_t { kAdded, kModified, kDeleted, kBookmark, kError };

struct WatchEvent {
  WatchType type = WatchType::kError;
  std::string object;            // raw JSON
  std::string resource_version;  // of the object; "" for kError
  int status_code = 0;           // kError: Status.code
  std::string status_message;    // kError
};

class WatchDecoder {
 public:
  WatchDecoder();
  ~WatchDecoder();
  // Errors: kDataLoss with what was expected. The text's buffer is used as scratch.
  Result<ListPage> DecodeList(std::string text);
  Result<WatchEvent> DecodeEvent(std::string line);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::kube
