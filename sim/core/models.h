// What is known of real card models, so that cards.yaml need only name one. Constant data.
#pragma once

#include <cstdint>
#include <string_view>

namespace hami::sim {

struct ModelFacts {
  std::string_view name;  // as NVML spells it
  uint32_t memory_mib;
  uint32_t sm_count;
  int32_t cc_major, cc_minor;
  uint32_t architecture;   // nvmlDeviceArchitecture_t: 5 Volta ... 10 Blackwell
  uint32_t pci_device_id;  // device << 16 | vendor
  uint32_t power_w, sm_clock_mhz, memory_clock_mhz;
};

inline constexpr ModelFacts kModels[] = {
    {"NVIDIA A100-SXM4-40GB", 40960, 108, 8, 0, 7, 0x20b010de, 400, 1410, 1215},
    {"NVIDIA A100-SXM4-80GB", 81920, 108, 8, 0, 7, 0x20b210de, 400, 1410, 1593},
    {"NVIDIA A100-PCIE-40GB", 40960, 108, 8, 0, 7, 0x20f110de, 250, 1410, 1215},
    {"NVIDIA A30", 24576, 56, 8, 0, 7, 0x20b710de, 165, 1440, 1215},
    {"NVIDIA A10", 23028, 72, 8, 6, 7, 0x223610de, 150, 1695, 6251},
    {"NVIDIA GeForce RTX 3090", 24576, 82, 8, 6, 7, 0x220410de, 350, 2100, 9751},
    {"NVIDIA GeForce RTX 4090", 24564, 128, 8, 9, 8, 0x268410de, 450, 3105, 10501},
    {"NVIDIA L4", 23034, 58, 8, 9, 8, 0x27b810de, 72, 2040, 6251},
    {"NVIDIA L40S", 46068, 142, 8, 9, 8, 0x26b910de, 350, 2520, 9001},
    {"NVIDIA H100 PCIe", 81559, 114, 9, 0, 9, 0x233110de, 350, 1755, 1593},
    {"NVIDIA H100 80GB HBM3", 81559, 132, 9, 0, 9, 0x233010de, 700, 1980, 2619},
    {"NVIDIA H200", 143771, 132, 9, 0, 9, 0x233510de, 700, 1980, 3201},
    {"NVIDIA B200", 183359, 148, 10, 0, 10, 0x290110de, 1000, 1965, 3996},
    {"Tesla T4", 15360, 40, 7, 5, 6, 0x1eb810de, 70, 1590, 5001},
    {"Tesla V100-SXM2-32GB", 32768, 80, 7, 0, 5, 0x1db510de, 300, 1530, 877},
    {"Tesla P4", 7680, 20, 6, 1, 4, 0x1bb310de, 75, 1531, 3003},
};

}  // namespace hami::sim
