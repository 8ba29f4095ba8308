#include "tests/limiter/linker_probe.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstring>

namespace {

std::string ObjectOf(void* address) {
  Dl_info info = {};
  if (address == nullptr || dladdr(address, &info) == 0) return "none";
  const char* slash = strrchr(info.dli_fname, '/');
  return slash != nullptr ? slash + 1 : info.dli_fname;
}

// Says the error once; a second dlerror must have nothing more to say.
std::string Told(void* found) {
  const char* error = dlerror();
  std::string told = ObjectOf(found) + (error != nullptr ? std::string(" error: ") + error : "");
  if (dlerror() != nullptr) told += " and another error";
  return told;
}

void* HandleOf(const std::string& name) {
  if (name == "default") return RTLD_DEFAULT;
  if (name == "next") return RTLD_NEXT;
  return dlopen(name == "main" ? nullptr : name.c_str(), RTLD_NOW);
}

struct Answers {
  void* found[5];
  bool operator==(const Answers& other) const {
    return memcmp(found, other.found, sizeof found) == 0;
  }
};

Answers AskAll() {
  void* cuda = dlopen("libcuda.so.1", RTLD_NOW);
  Answers answers = {{dlsym(cuda, "cuMemAlloc_v2"), dlsym(cuda, "cuFoo"),
                      dlsym(RTLD_NEXT, "malloc"), dlsym(RTLD_DEFAULT, "curl_easy_init"),
                      dlvsym(RTLD_DEFAULT, "memcpy", "GLIBC_2.14")}};
  dlclose(cuda);
  return answers;
}

std::atomic<int> ready{0}, different{0};
int wanted_threads = 0;
Answers expected;

void* InThread(void*) {
  ++ready;
  while (ready.load() < wanted_threads) sched_yield();
  for (int i = 0; i < 3; ++i) {
    if (!(AskAll() == expected)) ++different;
  }
  return nullptr;
}

}  // namespace

std::string Find(const std::vector<std::string>& a) {
  void* handle = HandleOf(a[1]);
  dlerror();
  return Told(a.size() > 3 ? dlvsym(handle, a[2].c_str(), a[3].c_str())
                           : dlsym(handle, a[2].c_str()));
}

std::string FindInClosed(const std::vector<std::string>& a) {
  void* handle = HandleOf(a[1]);
  dlclose(handle);
  dlerror();
  return Told(dlsym(handle, a[2].c_str()));
}

std::string LoadGlobally(const std::vector<std::string>& a) {
  return dlopen(a[1].c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr ? "none" : "0";
}

std::string AskInterposer(const std::vector<std::string>& a) {
  const auto ask =
      reinterpret_cast<void* (*)(const char*)>(dlsym(RTLD_DEFAULT, ("interposer_" + a[1]).c_str()));
  if (ask == nullptr) return "no interposer";
  dlerror();
  return Told(ask(a[2].c_str()));
}

std::string FindInThreads(const std::vector<std::string>& a) {
  wanted_threads = std::stoi(a[1]);
  expected = AskAll();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  std::vector<pthread_t> threads(static_cast<size_t>(wanted_threads));
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, &attributes, &InThread, nullptr) != 0) return "no thread";
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  return std::to_string(different.load()) + " " + ObjectOf(expected.found[0]);
}
