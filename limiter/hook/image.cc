#include "limiter/hook/image.h"

#include <elf.h>

#include <cstring>
#include <string_view>

#include "limiter/core/kernel_names.h"
#include "limiter/region/account.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::hook {
namespace {

constexpr uint16_t kCudaMachine = 190;  // EM_CUDA
constexpr unsigned kAtOnce = 32;        // section headers read in one piece
constexpr uint32_t kFatBinary = 0xba55ed50, kFatBinaryWrapper = 0x466243b1;
constexpr uint64_t kMostHashed = 1 << 20, kLongestText = 64 << 20, kPiece = 4096;

// A file, or this process's own memory.
struct Source {
  int fd = -1;
  const void* memory = nullptr;

  bool Read(uint64_t offset, void* out, size_t size) const {
    const long got = fd >= 0 ? sys::ReadAt(fd, out, size, offset)
                             : sys::CopyOwnMemory(out, sys::Word(memory) + offset, size);
    return got == static_cast<long>(size);
  }
};

bool IsLinkedCubin(const Elf64_Ehdr& header) {
  return std::string_view(reinterpret_cast<const char*>(header.e_ident), SELFMAG) == ELFMAG &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_machine == kCudaMachine &&
         header.e_type == ET_EXEC && header.e_shentsize == sizeof(Elf64_Shdr) &&
         header.e_shnum != 0;
}

// Shared and local memory have sections, but no memory of the module's own.
bool IsOnTheCard(const Source& source, uint64_t names, const Elf64_Shdr& section) {
  if ((section.sh_flags & SHF_ALLOC) == 0) return false;
  if (section.sh_type != SHT_NOBITS) return true;
  constexpr std::string_view kShared = ".nv.shared", kLocal = ".nv.local";
  char name[kShared.size()] = {};
  if (!source.Read(names + section.sh_name, name, sizeof name)) return true;
  return std::string_view(name, kShared.size()) != kShared &&
         std::string_view(name, kLocal.size()) != kLocal;
}

// Where the next section ends, each placed as its alignment wants; nothing: no card is that large.
std::optional<uint64_t> EndOf(uint64_t begin, const Elf64_Shdr& section) {
  const uint64_t alignment = section.sh_addralign > 1 ? section.sh_addralign : 1;
  if (alignment >= region::kAbsurdBytes || section.sh_size >= region::kAbsurdBytes) return {};
  const uint64_t end = (begin + alignment - 1) / alignment * alignment + section.sh_size;
  return end < region::kAbsurdBytes ? std::optional(end) : std::nullopt;
}

std::optional<uint64_t> BytesOf(const Source& source) {
  Elf64_Ehdr header;
  Elf64_Shdr names;
  if (!source.Read(0, &header, sizeof header) || !IsLinkedCubin(header) ||
      !source.Read(header.e_shoff + header.e_shstrndx * sizeof names, &names, sizeof names)) {
    return std::nullopt;
  }
  std::optional<uint64_t> bytes = 0;
  for (unsigned first = 0; first < header.e_shnum; first += kAtOnce) {
    Elf64_Shdr sections[kAtOnce];
    const unsigned left = header.e_shnum - first;
    const unsigned count = left < kAtOnce ? left : kAtOnce;
    if (!source.Read(header.e_shoff + first * sizeof *sections, sections,
                     count * sizeof *sections)) {
      return std::nullopt;
    }
    for (unsigned i = 0; i < count && bytes; ++i) {
      if (IsOnTheCard(source, names.sh_offset, sections[i])) bytes = EndOf(*bytes, sections[i]);
    }
  }
  return bytes;
}

// A fat binary, and what a compiled program passes in its place.
struct FatBinary {
  uint32_t magic;
  uint16_t version, header_size;
  uint64_t size;  // of what follows the header
};
struct FatBinaryWrapper {
  uint32_t magic, version;
  const void* data;
};

// PTX ends with a NUL. Read in pieces that lie in one page each: what is mapped can be read whole.
uint64_t LengthOfText(const Source& source) {
  char piece[kPiece];
  for (uint64_t at = 0; at < kLongestText;) {
    const uint64_t size = kPiece - (reinterpret_cast<uint64_t>(source.memory) + at) % kPiece;
    if (!source.Read(at, piece, size)) return 0;
    const size_t length = strnlen(piece, size);
    if (length < size) return at + length;
    at += size;
  }
  return 0;
}

// Of an image in memory; 0: not known.
uint64_t LengthOf(const Source& source) {
  Elf64_Ehdr header;
  FatBinary fat;
  if (source.Read(0, &fat, sizeof fat) && fat.magic == kFatBinary) {
    return fat.header_size + fat.size;
  }
  if (source.Read(0, &header, sizeof header) && IsLinkedCubin(header)) {
    return header.e_shoff + uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  }
  char first = 0;
  return source.Read(0, &first, 1) && first >= '\t' && first <= '~' ? LengthOfText(source) : 0;
}

// Adds what lies between two offsets. False: it cannot be read.
bool AddTo(uint64_t& hash, const Source& source, uint64_t from, uint64_t to) {
  char piece[kPiece];
  for (uint64_t at = from; at < to; at += kPiece) {
    const size_t size = to - at < kPiece ? to - at : kPiece;
    if (!source.Read(at, piece, size)) return false;
    hash = core::HashOf(hash, piece, size);
  }
  return true;
}

// A large one's beginning and end: the code of a cubin lies behind its strings and symbols.
uint64_t ContentOf(const Source& source, uint64_t length) {
  const uint64_t first = length < kMostHashed ? length : kMostHashed;
  const uint64_t last = length - first < kMostHashed ? first : length - kMostHashed;
  uint64_t hash = length;
  const bool whole = AddTo(hash, source, 0, first) && AddTo(hash, source, last, length);
  return whole && length != 0 ? hash | 1 : 0;
}

}  // namespace

Image ReadImage(const void* image) {
  if (image == nullptr) return {};
  Source source = {-1, image};
  FatBinaryWrapper wrapper;
  if (source.Read(0, &wrapper, sizeof wrapper) && wrapper.magic == kFatBinaryWrapper) {
    source.memory = wrapper.data;
  }
  return {BytesOf(source), ContentOf(source, LengthOf(source))};
}

Image ReadImageFile(const char* path) {
  const int fd = path == nullptr ? -1 : sys::Open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {};
  const Source source = {fd, nullptr};
  struct stat status = {};
  const bool regular = sys::Stat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const Image image = {BytesOf(source),
                       regular ? ContentOf(source, static_cast<uint64_t>(status.st_size)) : 0};
  sys::Close(fd);
  return image;
}

}  // namespace hami::limiter::hook
