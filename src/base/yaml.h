// YAML to a JSON tree: device config, kubeconfig, card descriptions. Values, no threads.
//
// YAML 1.2 core types (1.1's yes/no stay strings); quoted scalars are strings. Hostile input is
// bounded: 4 MiB of text, 64 levels, 200,000 nodes after aliases, no duplicate key.
#pragma once

#include <string_view>

#include "base/json.h"

namespace hami {

// Errors: kInvalidArgument with line and column.
Result<Json> ParseYaml(std::string_view text);

}  // namespace hami
