// What a region and a page of limits say, for people and as JSON. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "platform/region/limits_file.h"
#include "platform/region/process_life.h"
#include "platform/region/region_file.h"

namespace hami::region_tool {

struct RegionReport {
  std::string path;
  region::Snapshot snapshot;
  std::vector<region::ProcessLife> lives;  // by index, as snapshot.processes
  std::string boot_id;                     // of this machine now, as Snapshot.boot_id
  int64_t unix_seconds = 0;                // now
  uint64_t boot_ns = 0;                    // now, boot clock
};

std::string RegionText(const RegionReport& report);
// One line.
std::string RegionJson(const RegionReport& report);

std::string PageText(const std::string& path, const region::LimitsPage& page);
std::string PageJson(const std::string& path, const region::LimitsPage& page);

// False: no limit of the core (0, and 100 or more).
bool IsLimit(Percent cores);

// "3000 MiB", "0.5 MiB", "17 B"; never rounded up to a whole unit that it is not.
std::string SizeText(Bytes bytes);

}  // namespace hami::region_tool
