// JsonPatch: the smallest list of RFC 6902 operations that leads from one JSON tree to the one we
// want.
//
// Edits are made on a working copy, so that later ones see earlier ones (an absent map is created
// once); the original text is never written again, and fields we do not know stay untouched. Owned
// by one review; not thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hami::admission {

// Steps from the root: object keys as they are (no escaping), array positions in decimal.
using JsonPath = std::vector<std::string>;

class JsonPatch {
 public:
  explicit JsonPatch(Json document) : document_(std::move(document)) {}

  // Sets a member, creating absent (or null) objects on the way; equal values give no operation.
  // Errors: kInvalidArgument naming the path, when a step meets something that is no object or
  // array.
  Result<void> Set(const JsonPath& path, Json value);
  // Appends to the array there; absent (or null) arrays are created.
  Result<void> Append(const JsonPath& path, Json value);
  // Removes a member; absent is fine.
  void Remove(const JsonPath& path);

  bool empty() const { return operations_.empty(); }
  // The operations as a JSON array.
  std::string Text() const { return ToJson(operations_); }
  // The document with all edits made.
  const Json& document() const { return document_; }

 private:
  Json* Walk(std::span<const std::string> path);
  void Emit(std::string_view op, std::span<const std::string> path, const Json* value);

  Json document_;
  boost::json::array operations_;
};

// RFC 6901: "/a~1b/0/c~0d".
std::string JsonPointer(std::span<const std::string> path);

}  // namespace hami::admission
