#include "limiter/resolve/linker.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstring>

extern "C" {
// Read by the assembly stubs; filled by hami_find_linker.
__attribute__((visibility("hidden"))) void* hami_real_dlsym = nullptr;
__attribute__((visibility("hidden"))) void* hami_real_dlvsym = nullptr;
}

namespace hami::limiter::resolve {
namespace {

// The dynamic symbols of one loaded object.
struct Symbols {
  ElfW(Addr) base = 0;
  const ElfW(Sym) * table = nullptr;
  const char* names = nullptr;
  const uint32_t* gnu_hash = nullptr;
  const uint32_t* sysv_hash = nullptr;
};

// glibc relocates these in place for every object but the vDSO.
template <class T>
const T* Pointer(ElfW(Addr) base, ElfW(Addr) value) {
  return reinterpret_cast<const T*>(value < base ? base + value : value);
}

Symbols SymbolsOf(const dl_phdr_info& info) {
  Symbols symbols;
  symbols.base = info.dlpi_addr;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry =
        reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      const ElfW(Addr) value = entry->d_un.d_ptr;
      if (entry->d_tag == DT_SYMTAB) symbols.table = Pointer<ElfW(Sym)>(symbols.base, value);
      if (entry->d_tag == DT_STRTAB) symbols.names = Pointer<char>(symbols.base, value);
      if (entry->d_tag == DT_GNU_HASH) symbols.gnu_hash = Pointer<uint32_t>(symbols.base, value);
      if (entry->d_tag == DT_HASH) symbols.sysv_hash = Pointer<uint32_t>(symbols.base, value);
    }
  }
  return symbols;
}

void* AddressOf(const Symbols& symbols, uint32_t index, const char* name) {
  const ElfW(Sym)& symbol = symbols.table[index];
  const bool defined = symbol.st_shndx != SHN_UNDEF && symbol.st_value != 0 &&
                       ELF64_ST_TYPE(symbol.st_info) == STT_FUNC;
  if (!defined || strcmp(symbols.names + symbol.st_name, name) != 0) return nullptr;
  return reinterpret_cast<void*>(symbols.base + symbol.st_value);
}

void* FindByGnuHash(const Symbols& symbols, const char* name) {
  uint32_t hash = 5381;
  for (const char* c = name; *c != '\0'; ++c) hash = hash * 33 + static_cast<uint8_t>(*c);
  const uint32_t bucket_count = symbols.gnu_hash[0];
  const uint32_t first = symbols.gnu_hash[1];
  const uint32_t bloom_words = symbols.gnu_hash[2] * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
  const uint32_t* buckets = symbols.gnu_hash + 4 + bloom_words;
  const uint32_t* chain = buckets + bucket_count;
  if (bucket_count == 0) return nullptr;
  uint32_t index = buckets[hash % bucket_count];
  if (index < first) return nullptr;
  while (true) {
    const uint32_t other = chain[index - first];
    if ((other | 1) == (hash | 1)) {
      void* address = AddressOf(symbols, index, name);
      if (address != nullptr) return address;
    }
    if ((other & 1) != 0) return nullptr;
    ++index;
  }
}

void* FindBySysvHash(const Symbols& symbols, const char* name) {
  uint32_t hash = 0;
  for (const char* c = name; *c != '\0'; ++c) {
    hash = (hash << 4) + static_cast<uint8_t>(*c);
    const uint32_t high = hash & 0xf0000000u;
    hash = (hash ^ (high >> 24)) & ~high;
  }
  const uint32_t* buckets = symbols.sysv_hash + 2;
  const uint32_t* chain = buckets + symbols.sysv_hash[0];
  if (symbols.sysv_hash[0] == 0) return nullptr;
  for (uint32_t i = buckets[hash % symbols.sysv_hash[0]]; i != 0; i = chain[i]) {
    void* address = AddressOf(symbols, i, name);
    if (address != nullptr) return address;
  }
  return nullptr;
}

bool Contains(const dl_phdr_info& info, const void* address) {
  const auto at = reinterpret_cast<ElfW(Addr)>(address);
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const ElfW(Addr) start = info.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && at >= start && at - start < segment.p_memsz) return true;
  }
  return false;
}

struct Search {
  const char* name;
  bool behind_us = false;
  void* found = nullptr;
};

int Visit(dl_phdr_info* info, size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  if (Contains(*info, &hami_real_dlsym)) {
    search.behind_us = true;
    return 0;
  }
  const Symbols symbols = SymbolsOf(*info);
  if (!search.behind_us || symbols.table == nullptr || symbols.names == nullptr) return 0;
  if (symbols.gnu_hash != nullptr) {
    search.found = FindByGnuHash(symbols, search.name);
  } else if (symbols.sysv_hash != nullptr) {
    search.found = FindBySysvHash(symbols, search.name);
  }
  return search.found != nullptr ? 1 : 0;
}

void* FindBehindUs(const char* name) {
  Search search{name};
  dl_iterate_phdr(&Visit, &search);
  return search.found;
}

}  // namespace

Dlsym RealDlsym() {
  std::atomic_ref real(hami_real_dlsym);
  if (real.load(std::memory_order_relaxed) == nullptr) real.store(FindBehindUs("dlsym"));
  return reinterpret_cast<Dlsym>(real.load(std::memory_order_relaxed));
}

Dlvsym RealDlvsym() {
  std::atomic_ref real(hami_real_dlvsym);
  if (real.load(std::memory_order_relaxed) == nullptr) real.store(FindBehindUs("dlvsym"));
  return reinterpret_cast<Dlvsym>(real.load(std::memory_order_relaxed));
}

bool SameObject(const void* a, const void* b) {
  Dl_info left, right;
  return dladdr(a, &left) != 0 && dladdr(b, &right) != 0 && left.dli_fbase == right.dli_fbase;
}

}  // namespace hami::limiter::resolve

// Called by the stubs when a pointer above is still empty.
extern "C" __attribute__((visibility("hidden"))) void hami_find_linker() {
  hami::limiter::resolve::RealDlsym();
  hami::limiter::resolve::RealDlvsym();
}
