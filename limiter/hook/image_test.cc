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

// A page whose end is the end of what can be read.
class LastPage {
 public:
  LastPage() {
    void* const pages =
        mmap(nullptr, 2 * size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(pages, MAP_FAILED);
    begin_ = static_cast<char*>(pages);
    EXPECT_EQ(mprotect(begin_ + size_, size_, PROT_NONE), 0);
  }
  ~LastPage() { munmap(begin_, 2 * size_); }
  LastPage(const LastPage&) = delete;
  LastPage& operator=(const LastPage&) = delete;

  char* end() const { return begin_ + size_; }
  size_t size() const { return size_; }

 private:
  const size_t size_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char* begin_ = nullptr;
};

std::optional<uint64_t> BytesOf(const std::string& image) { return ReadImage(image.data()).bytes; }

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
  EXPECT_EQ(ReadImage(nullptr).bytes, std::nullopt);
}

TEST(ImageTest, ABrokenImageHasNoSizeAndDoesNoHarm) {
  const LastPage page;
  const std::string whole = Cubin({{".nv.global", SHT_NOBITS, 64, 16}});
  ASSERT_EQ(BytesOf(whole), 64u);
  for (size_t length = 1; length < whole.size(); ++length) {  // the rest cannot be read
    char* const image = page.end() - length;
    memcpy(image, whole.data(), length);
    EXPECT_EQ(ReadImage(image).bytes, std::nullopt) << length;
  }
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
  EXPECT_EQ(ReadImageFile(path.c_str()).bytes, 4096u);
  std::ofstream(path, std::ios::binary) << image.substr(0, image.size() - 1);
  EXPECT_EQ(ReadImageFile(path.c_str()).bytes, std::nullopt);
  std::filesystem::remove(path);
  EXPECT_EQ(ReadImageFile(path.c_str()).bytes, std::nullopt);
  EXPECT_EQ(ReadImageFile("/").bytes, std::nullopt);
  EXPECT_EQ(ReadImageFile(nullptr).bytes, std::nullopt);
}

// The same kernels in two processes have the same names; those of another build have others.
TEST(ImageTest, ContentIsTheSameForEqualImagesOnly) {
  const auto content = [](const std::string& image) { return ReadImage(image.data()).content; };
  const std::string cubin = Cubin({{".text.k", SHT_PROGBITS, 4096, 128}});
  std::string other = cubin;
  other[sizeof(Elf64_Ehdr) + 3] ^= 1;
  EXPECT_NE(content(cubin), 0u);
  EXPECT_EQ(content(cubin), content(std::string(cubin) + "what lies behind it"));
  EXPECT_NE(content(cubin), content(other));
  const std::string ptx = ".version 8.0\n.target sm_80\n" + std::string(3000, ' ');
  EXPECT_NE(content(ptx), 0u);
  EXPECT_EQ(content(ptx), content(std::string(ptx.c_str())));
  EXPECT_EQ(content(ptx), ReadImage((std::string(333, 'x') + ptx).c_str() + 333).content);
  EXPECT_NE(content(ptx), content(ptx + " "));
}

TEST(ImageTest, OfALargeImageTheBeginningAndTheEndCount) {
  const auto content = [](std::string image, size_t at) {
    if (at != 0) image[at] = 'x';
    return ReadImage(image.data()).content;
  };
  const std::string ptx(5 << 20, 'p');
  EXPECT_NE(content(ptx, 0), 0u);
  EXPECT_NE(content(ptx, 0), content(ptx, 100'000));
  EXPECT_NE(content(ptx, 0), content(ptx, ptx.size() - 100'000));
  EXPECT_NE(content(ptx, 0), content(ptx + "p", 0));
}

TEST(ImageTest, AFatBinaryIsKnownBehindItsWrapperToo) {
  const auto fat_binary = [](const std::string& body) {
    const uint64_t size = body.size();
    return std::string("\x50\xed\x55\xba\1\0\x10\0", 8) +
           std::string(reinterpret_cast<const char*>(&size), 8) + body;
  };
  const auto content = [](const std::string& image) {
    const struct {
      uint32_t magic, version;
      const void *data, *unused;
    } wrapper = {0x466243b1, 1, image.data(), nullptr};
    EXPECT_EQ(ReadImage(image.data()).content, ReadImage(&wrapper).content);
    return ReadImage(image.data()).content;
  };
  const std::string image = fat_binary(std::string(200'000, 'k'));
  EXPECT_NE(content(image), 0u);
  EXPECT_EQ(content(image), content(image + "behind"));
  EXPECT_NE(content(image), content(fat_binary(std::string(199'999, 'k'))));
}

TEST(ImageTest, WhatEndsNobodyKnowsWhereHasNoContent) {
  const LastPage page;
  memset(page.end() - page.size(), 'p', page.size());  // a text without an end
  EXPECT_EQ(ReadImage(page.end() - 300).content, 0u);
  page.end()[-1] = '\0';
  EXPECT_NE(ReadImage(page.end() - 300).content, 0u);
  EXPECT_EQ(ReadImage("\x01\x02\x03").content, 0u);
  EXPECT_EQ(ReadImage(nullptr).content, 0u);
}

}  // namespace
}  // namespace hami::limiter::hook
