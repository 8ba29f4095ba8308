// `hamictl get cards`: every card, what is promised of it, and to whom. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

#include "services/cli/cluster.h"

namespace hami::cli {

enum class Format : uint8_t { kTable, kWide, kJson };

struct CardsReport {
  std::string text;  // for standard output
  size_t cards = 0;  // shown
};

// `node` limits the report to one node; "" is all.
CardsReport ReportCards(const Cluster& cluster, std::string_view node, Format format);

}  // namespace hami::cli
