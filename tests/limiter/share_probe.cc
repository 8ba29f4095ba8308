#include "tests/limiter/share_probe.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>

namespace {

constexpr int kFileDescriptor = 1;

void* Pointer(const std::string& text) { return reinterpret_cast<void*>(Number(text)); }
void* AsHandle(int fd) { return reinterpret_cast<void*>(static_cast<intptr_t>(fd)); }

struct Handle {
  char bytes[64] = {};
};

void Save(const std::string& path, const Handle& handle) {
  std::ofstream(path, std::ios::binary).write(handle.bytes, sizeof handle.bytes);
}
Handle Saved(const std::string& path) {
  Handle handle;
  std::ifstream(path, std::ios::binary).read(handle.bytes, sizeof handle.bytes);
  return handle;
}

// ipcget <pointer> <file>, ipcopen <file>
std::string GetIpc(const Args& a) {
  Handle handle;
  const int result = Call("cuIpcGetMemHandle", &handle, Number(a[1]) + 0ull);
  Save(a[2], handle);
  return Answer(result);
}
std::string OpenIpc(const Args& a) {
  const Handle handle = Saved(a[1]);
  return Made("cuIpcOpenMemHandle_v2", handle, 1u);
}

struct Prop {
  int type = 1, handle_types = kFileDescriptor, location_type = 1, location_id = 0;
  void* win32 = nullptr;
  uint8_t rest[72] = {};
};

// shareable <bytes> [card]: a block of physical memory that can be exported.
std::string CreateShareable(const Args& a) {
  Prop prop;
  if (a.size() > 2) prop.location_id = static_cast<int>(Number(a[2]));
  return Made("cuMemCreate", size_t{Number(a[1])}, static_cast<const Prop*>(&prop), 0ull);
}

// share <function> <handle>: the descriptor.
std::string Share(const Args& a) {
  int fd = -1;
  const int result =
      Call(a[1], static_cast<void*>(&fd), Number(a[2]) + 0ull, kFileDescriptor, 0ull);
  return Answer(result, static_cast<uint64_t>(fd));
}

// import <function> <descriptor's path>
std::string Import(const Args& a) {
  const int fd = open(a[2].c_str(), O_RDONLY | O_CLOEXEC);
  unsigned long long made = 0;
  const int result = a[1] == "cuMemImportFromShareableHandle"
                         ? Call(a[1], &made, AsHandle(fd), kFileDescriptor)
                         : Call(a[1], &made, AsHandle(fd), kFileDescriptor, 0ull);
  close(fd);
  return Answer(result, made);
}

// sharedpool: a pool whose blocks can be exported.
std::string CreateSharedPool() {
  struct {
    int alloc_type = 1, handle_types = kFileDescriptor, location_type = 1, location_id = 0;
    uint8_t rest[72] = {};
  } props;
  return Made("cuMemPoolCreate", static_cast<void*>(&props));
}

// exportblock <pointer> <file>, importblock <pool> <file>
std::string ExportBlock(const Args& a) {
  Handle handle;
  const int result = Call("cuMemPoolExportPointer", &handle, Number(a[1]) + 0ull);
  Save(a[2], handle);
  return Answer(result);
}
std::string ImportBlock(const Args& a) {
  Handle handle = Saved(a[2]);
  return Made("cuMemPoolImportPointer", Pointer(a[1]), &handle);
}

// external <bytes>: memory of another library, and a buffer in it. Code, memory, pointer.
std::string ImportExternal(const Args& a) {
  struct {
    int type;
    union {
      int fd;
      void* room[2];
    };
    unsigned long long size;
    unsigned flags, reserved[16];
  } description = {};
  description.type = kFileDescriptor;
  description.fd = memfd_create("external", MFD_CLOEXEC);
  description.size = Number(a[1]);
  struct {
    unsigned long long offset, size;
    unsigned flags, reserved[16];
  } buffer = {};
  buffer.size = Number(a[1]);
  unsigned long long memory = 0, pointer = 0;
  int result = Call("cuImportExternalMemory", &memory, &description);
  if (result == 0) result = Call("cuExternalMemoryGetMappedBuffer", &pointer, memory, &buffer);
  return Answer(result, memory) + " " + std::to_string(pointer);
}

// multicast <bytes>: an object for card 0 alone.
std::string CreateMulticast(const Args& a) {
  struct {
    unsigned devices;
    size_t size;
    unsigned long long handle_types, flags;
  } properties = {};
  properties.devices = 1;
  properties.size = Number(a[1]);
  unsigned long long object = 0;
  int result = Call("cuMulticastCreate", &object, &properties);
  if (result == 0) result = Call("cuMulticastAddDevice", object, 0);
  return Answer(result, object);
}

// bind <object> <offset> <handle> <bytes>, bindat with an address, unbind <object> <offset> <bytes>
std::string Bind(const Args& a) {
  const auto object = Number(a[1]) + 0ull, what = Number(a[3]) + 0ull;
  const size_t offset = Number(a[2]), bytes = Number(a[4]);
  return Answer(a[0] == "bind"
                    ? Call("cuMulticastBindMem", object, offset, what, size_t{0}, bytes, 0ull)
                    : Call("cuMulticastBindAddr", object, offset, what, bytes, 0ull));
}

struct Resource {
  int type;
  uint8_t rest[140];
};

// green: a green context of all of card 0, made current. Code, green context.
std::string CreateGreen() {
  Resource all = {};
  void *description = nullptr, *green = nullptr, *context = nullptr;
  int result = Call("cuDeviceGetDevResource", 0, &all, 1);
  if (result == 0) result = Call("cuDevResourceGenerateDesc", &description, &all, 1u);
  if (result == 0) result = Call("cuGreenCtxCreate", &green, description, 0, 1u);
  if (result == 0) result = Call("cuCtxFromGreenCtx", &context, green);
  if (result == 0) result = Call("cuCtxPushCurrent_v2", context);
  return Answer(result, reinterpret_cast<uint64_t>(green));
}

}  // namespace

std::optional<std::string> ExecuteShare(const Args& a) {
  const std::string& c = a[0];
  if (c == "ipcget") return GetIpc(a);
  if (c == "ipcopen") return OpenIpc(a);
  if (c == "ipcclose") return Answer(Call("cuIpcCloseMemHandle", Number(a[1]) + 0ull));
  if (c == "shareable") return CreateShareable(a);
  if (c == "share") return Share(a);
  if (c == "import") return Import(a);
  if (c == "sharedpool") return CreateSharedPool();
  if (c == "exportblock") return ExportBlock(a);
  if (c == "importblock") return ImportBlock(a);
  if (c == "external") return ImportExternal(a);
  if (c == "endexternal") return Answer(Call("cuDestroyExternalMemory", Pointer(a[1])));
  if (c == "multicast") return CreateMulticast(a);
  if (c == "bind" || c == "bindat") return Bind(a);
  if (c == "unbind") {
    return Answer(Call("cuMulticastUnbind", Number(a[1]) + 0ull, 0, size_t{Number(a[2])},
                       size_t{Number(a[3])}));
  }
  if (c == "green") return CreateGreen();
  if (c == "endgreen") return Answer(Call("cuGreenCtxDestroy", Pointer(a[1])));
  return std::nullopt;
}
