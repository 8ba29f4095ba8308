// Options of the node plugin that are NVIDIA's own: flags, their environment, and the file that the
// upstream plugin reads them from (spec/device-plugin.md 3). Main thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/flags.h"
#include "base/json.h"
#include "base/result.h"

namespace hami::driver {

struct ExtraMount {
  std::string host_path;
  std::string container_path;
  bool read_only = false;
  bool operator==(const ExtraMount&) const = default;
};

struct NvidiaOptions {
  std::string mig_strategy = "none";
  std::string driver_root = "/";                  // on the host
  std::string dev_root;                           // on the host; "" = follows driver_root
  std::string driver_root_here = "/driver-root";  // where it is mounted for us
  bool pass_device_specs = false;
  std::vector<std::string> list_strategies = {"envvar"};
  std::string id_strategy = "uuid";
  bool gdrcopy = false;
  bool gds = false;
  bool mofed = false;
  std::string cdi_annotation_prefix = "cdi.k8s.io/";
  std::string discovery_strategy = "auto";
  std::vector<std::string> imex_channels;
  bool imex_required = false;
  std::string cdi_root = "/var/run/cdi";
  std::vector<std::string> cdi_extra_mounts;  // host:container[:ro]
  std::string visible_devices_prefix;
  std::string library;  // exact management library; "" = search

  bool UsesCdi() const;
  bool OnlyCdi() const;
};

// Declares every flag on `flags`; `options` holds the defaults and must outlive Parse.
void AddNvidiaFlags(FlagSet& flags, NvidiaOptions& options);

// Lays the upstream schema's keys (flags.*, imex.*) over what was not given on the command line or
// in the environment. Returns warnings for sections that have no effect here. Errors:
// kInvalidArgument
// ("unknown version: v2", or a key of a wrong type).
Result<std::vector<std::string>> ApplyUpstreamFile(const Json& file, const FlagSet& flags,
                                                   NvidiaOptions& options);

// Errors: kInvalidArgument in the reference's words; kUnimplemented for what this build cannot do
// yet, naming what it can.
Result<void> ValidateNvidiaOptions(const NvidiaOptions& options);

Result<ExtraMount> ParseExtraMount(std::string_view text);

}  // namespace hami::driver
