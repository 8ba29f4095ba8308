#include "limiter/hook/image.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "limiter/hook/test_cubin.h"

namespace hami::limiter::hook {
namespace {

using testing::Cubin;
using testing::CubinSection;

std::optional<uint64_t> BytesOf(const std::string& image) { return BytesOfImage(image.data()); }

TEST(ImageTest, ACubinTakesItsLoadedSectionsEachAligned) {
  EXPECT_EQ(BytesOf(Cubin({})), 0u);
  EXPECT_EQ(BytesOf(Cubin({{".text.k", SHT_PROGBITS, 100, 128},
                           {".debug_line", SHT_PROGBITS, 5000, 1, 0},
                           {".nv.constant0.k", SHT_PROGBITS, 10, 4},
                           {".nv.global", SHT_NOBITS, 1 << 30, 256}})),
            256u + (1u << 30));
}

TEST(ImageTest, SharedAndLocalMemoryAreNotTheModules) {
  EXPECT_EQ(BytesOf(Cubin({{".nv.shared.k", SHT_NOBITS, 49152, 16},
                           {".nv.local.k", SHT_NOBITS, 4096, 16},
                           {".nv.shared", SHT_PROGBITS, 7, 1},
                           {".nv.global", SHT_NOBITS, 64, 16}})),
            80u);
}

TEST(ImageTest, ManySectionsAreReadInPieces) {
  for (const size_t count : {29u, 30u, 31u, 62u, 1000u}) {
    EXPECT_EQ(BytesOf(Cubin(std::vector<CubinSection>(count, {".text.k", SHT_PROGBITS, 3}))),
              3 * count);
  }
}

TEST(ImageTest, WhatOnlyTheDriverKnowsHasNoSize) {
  EXPECT_EQ(BytesOf(".version 8.0\n.target sm_80\n" + std::string(100, ' ')), std::nullopt);
  EXPECT_EQ(BytesOf(std::string("\x50\xed\x55\xba", 4) + std::string(100, '\0')), std::nullopt);
  EXPECT_EQ(BytesOf(Cubin({}, ET_REL)), std::nullopt);
  EXPECT_EQ(BytesOf(Cubin({}, ET_EXEC, EM_X86_64)), std::nullopt);
  EXPECT_EQ(BytesOfImage(nullptr), std::nullopt);
}

TEST(ImageTest, ABrokenImageHasNoSizeAndDoesNoHarm) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* pages = static_cast<char*>(
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(mprotect(pages + page, page, PROT_NONE), 0);
  const std::string whole = Cubin({{".nv.global", SHT_NOBITS, 64, 16}});
  ASSERT_EQ(BytesOf(whole), 64u);
  for (size_t length = 1; length < whole.size(); ++length) {  // the rest cannot be read
    char* const image = pages + page - length;
    memcpy(image, whole.data(), length);
    EXPECT_EQ(BytesOfImage(image), std::nullopt) << length;
  }
  munmap(pages, 2 * page);
  EXPECT_EQ(BytesOf(Cubin({{".nv.global", SHT_NOBITS, UINT64_MAX, 16}})), std::nullopt);
  EXPECT_EQ(BytesOf(Cubin({{".text", SHT_PROGBITS, 1}, {".nv.global", SHT_NOBITS, 1, 1ull << 63}})),
            std::nullopt);
  EXPECT_EQ(BytesOf(Cubin(std::vector<CubinSection>(70, {".text", SHT_PROGBITS, 1ull << 45}))),
            std::nullopt);
}

TEST(ImageTest, AFileIsReadAsMemoryIs) {
  const std::string path = ::testing::TempDir() + "image_test." + std::to_string(getpid());
  const std::string image = Cubin({{".text.k", SHT_PROGBITS, 4096, 128}});
  std::ofstream(path, std::ios::binary) << image;
  EXPECT_EQ(BytesOfImageFile(path.c_str()), 4096u);
  std::ofstream(path, std::ios::binary) << image.substr(0, image.size() - 1);
  EXPECT_EQ(BytesOfImageFile(path.c_str()), std::nullopt);
  std::filesystem::remove(path);
  EXPECT_EQ(BytesOfImageFile(path.c_str()), std::nullopt);
  EXPECT_EQ(BytesOfImageFile("/"), std::nullopt);
  EXPECT_EQ(BytesOfImageFile(nullptr), std::nullopt);
}

}  // namespace
}  // namespace hami::limiter::hook
