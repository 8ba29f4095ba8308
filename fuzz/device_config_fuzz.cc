// ParseDeviceConfig and ParseNodeOverrides: values stay in range whatever the file says.
#include "domain/protocol/device_config.h"
#include "fuzz/fuzz.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  const auto overrides = protocol::ParseNodeOverrides(text);
  if (!overrides) FUZZ_CHECK(overrides.error().code == Code::kInvalidArgument);
  const auto config = protocol::ParseDeviceConfig(text);
  if (!config) FUZZ_CHECK(config.error().code == Code::kInvalidArgument);
  const protocol::NvidiaConfig nvidia = config ? config->nvidia : protocol::NvidiaConfig();
  FUZZ_CHECK(nvidia.split_count >= 0 && nvidia.memory_factor >= 1);
  FUZZ_CHECK(nvidia.memory_scaling > 0 && nvidia.core_scaling > 0);
  FUZZ_CHECK(nvidia.default_memory.value >= 0 && nvidia.default_count >= 0);
  protocol::SettingsFor(nvidia, overrides.value_or(protocol::NodeOverrides()), "node-1",
                        {{"role", "gpu"}});
}
