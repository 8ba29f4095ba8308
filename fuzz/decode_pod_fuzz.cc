// DecodePod and DecodeNode: any bytes give a value or an error that says something, and a tree
// gives what its text gives.
#include "base/json.h"
#include "domain/protocol/node_lock.h"
#include "domain/protocol/objects.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  const auto pod = protocol::DecodePod(text, {.env_names = true});
  if (pod) {
    pod->Finished();
  } else {
    FUZZ_CHECK(pod.error().code == Code::kInvalidArgument && !pod.error().message.empty());
  }
  const auto node = protocol::DecodeNode(text);
  if (node) {
    protocol::ReadNodeLock(*node);
  } else {
    FUZZ_CHECK(node.error().code == Code::kInvalidArgument);
  }
  // Parsers live as long as their thread: no input may spoil the next one.
  const auto good = protocol::DecodePod(R"({"metadata":{"name":"p","uid":"u"}})");
  FUZZ_CHECK(good.has_value() && good->key.name == "p" && good->uid == "u");
}
