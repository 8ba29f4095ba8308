// Objects: Pod and Node from the API server's JSON, only the fields that matter, in one pass.
//
// Fields are consumed in document order, unknown ones are skipped without allocation, keys may come
// in any order. Annotations are copied as text: a bad one never fails the object (their codecs
// stand beside this file). Thread-safe: each thread keeps its own parser.
#pragma once

#include <concepts>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "domain/model/pod.h"

namespace hami::protocol {

struct DecodeOptions {
  bool env_names = false;  // also Container::env_names, which only admission needs
};

// Errors: kInvalidArgument, for text that is no JSON object or fields of a wrong type, naming the
// field. Resources without a domain (cpu, memory) and annotations that nothing of ours reads are
// left out.
Result<Pod> DecodePod(std::string_view json, DecodeOptions options = {});
Result<Node> DecodeNode(std::string_view json);

// For a tree at hand (admission): with DecodeOptions{.env_names = true}.
Result<Pod> DecodePodTree(const Json& pod);
// Trees only: a string would convert to a Json, too.
template <std::same_as<Json> T>
Result<Pod> DecodePod(const T& pod) {
  return DecodePodTree(pod);
}

}  // namespace hami::protocol
