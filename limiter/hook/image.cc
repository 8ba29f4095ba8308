#include "limiter/hook/image.h"

#include <elf.h>

#include <string_view>

#include "limiter/region/account.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::hook {
namespace {

constexpr uint16_t kCudaMachine = 190;  // EM_CUDA
constexpr unsigned kAtOnce = 32;        // section headers read in one piece

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

}  // namespace

std::optional<uint64_t> BytesOfImage(const void* image) {
  if (image == nullptr) return std::nullopt;
  return BytesOf({-1, image});
}

std::optional<uint64_t> BytesOfImageFile(const char* path) {
  if (path == nullptr) return std::nullopt;
  const int fd = sys::Open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  const auto bytes = BytesOf({fd, nullptr});
  sys::Close(fd);
  return bytes;
}

}  // namespace hami::limiter::hook
