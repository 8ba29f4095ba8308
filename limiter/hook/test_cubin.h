// Test support: a linked cubin as far as its size goes, written from the ELF specification.
#pragma once

#include <elf.h>

#include <cstdint>
#include <string>
#include <vector>

namespace hami::limiter::testing {

struct CubinSection {
  std::string name;
  uint32_t type = SHT_NOBITS;  // of sections without content even code is, here
  uint64_t size = 0;
  uint64_t alignment = 1;
  uint64_t flags = SHF_ALLOC;
};

inline std::string Cubin(const std::vector<CubinSection>& sections, uint16_t type = ET_EXEC,
                         uint16_t machine = 190) {
  const auto bytes = [](const auto& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  std::string names(1, '\0'), table = bytes(Elf64_Shdr{});
  for (const CubinSection& section : sections) {
    Elf64_Shdr header = {};
    header.sh_name = static_cast<uint32_t>(names.size());
    header.sh_type = section.type;
    header.sh_flags = section.flags;
    header.sh_size = section.size;
    header.sh_addralign = section.alignment;
    names += section.name + '\0';
    table += bytes(header);
  }
  Elf64_Shdr strings = {};
  strings.sh_type = SHT_STRTAB;
  strings.sh_offset = sizeof(Elf64_Ehdr);
  strings.sh_size = names.size() + 16;
  table += bytes(strings);
  names += std::string(16, '\0');

  Elf64_Ehdr head = {};
  const unsigned char ident[EI_NIDENT] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  for (int i = 0; i < EI_NIDENT; ++i) head.e_ident[i] = ident[i];
  head.e_type = type;
  head.e_machine = machine;
  head.e_shoff = sizeof head + names.size();
  head.e_shentsize = sizeof(Elf64_Shdr);
  head.e_shnum = static_cast<uint16_t>(sections.size() + 2);
  head.e_shstrndx = static_cast<uint16_t>(sections.size() + 1);
  return bytes(head) + names + table;
}

// One that takes so many bytes.
inline std::string CubinOf(uint64_t size) { return Cubin({{".nv.global", SHT_NOBITS, size}}); }

}  // namespace hami::limiter::testing
