// Memory that is shared between processes, and memory that is taken in unusual ways.
#include <fcntl.h>

#include <cstring>

#include "sim/cuda/cuda_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

constexpr const char* kOneCard = "cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100}]\n";
void* const kNull = nullptr;

struct Handle {
  char bytes[64];
};

class ShareTest : public MachineTest {
 protected:
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
  // What two processes tell each other, in the folder of the test.
  template <class T>
  void Write(const char* name, const T& value) const {
    std::ofstream(folder_ + "/" + name).write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class T>
  T Read(const char* name) const {
    T value = {};
    std::ifstream(folder_ + "/" + name).read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
};

TEST_F(ShareTest, AnIpcHandleOpensInOthersAndCostsThemNothing) {
  WriteCards(kOneCard);
  Child exporter([this] {
    Cuda cuda;
    uint64_t pointer = 0, again = 0;
    Handle handle = {};
    CHILD_CHECK(cuda.Alloc(100 * kMiB, &pointer) == 0);
    CHILD_CHECK(cuda("cuIpcGetMemHandle", &handle, pointer + 5) == 0);  // the whole block
    CHILD_CHECK(cuda("cuIpcOpenMemHandle_v2", &again, handle, 1u) == kCudaInvalidContext);
    Write("handle", handle);
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  ASSERT_TRUE(exporter.AwaitWord());
  InChild([this] {
    Cuda cuda;
    const auto handle = Read<Handle>("handle");
    uint64_t a = 0, b = 0;
    CHILD_CHECK(cuda("cuIpcOpenMemHandle_v2", &a, handle, 1u) == 0);
    CHILD_CHECK(cuda("cuIpcOpenMemHandle", &b, handle, 1u) == 0 && a == b);
    CHILD_CHECK(cuda.FreeBytes() == 700 * kMiB);  // two contexts and the exporter's block
    size_t size = 0;
    CHILD_CHECK(cuda("cuMemGetAddressRange_v2", &b, &size, a + kMiB) == 0 && size == 100 * kMiB);
    CHILD_CHECK(cuda.Free(a) == kCudaInvalidValue);  // it is closed, not freed
    CHILD_CHECK(cuda("cuIpcCloseMemHandle", a) == 0 && cuda("cuIpcCloseMemHandle", a) == 0);
    CHILD_CHECK(cuda("cuIpcCloseMemHandle", a) == kCudaInvalidValue);
    Handle forged = handle;
    forged.bytes[0] ^= 1;
    CHILD_CHECK(cuda("cuIpcOpenMemHandle_v2", &a, forged, 1u) == kCudaInvalidValue);
    return 0;
  });
  exporter.Kill();
  InChild([this] {
    Cuda cuda;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda("cuIpcOpenMemHandle_v2", &pointer, Read<Handle>("handle"), 1u) ==
                kCudaInvalidHandle);
    return 0;
  });
}

TEST_F(ShareTest, PhysicalMemoryAndPoolsGoThroughFileDescriptors) {
  WriteCards(kOneCard);
  struct Offer {
    int pid, memory, pool;
    Handle pointer;
  };
  Child exporter([this] {
    Cuda cuda;
    CudaAllocationProperties properties = {};
    properties.type = 1;
    properties.location = {kLocationDevice, 0};
    void *closed = nullptr, *memory = nullptr, *pool = nullptr;
    Offer offer = {};
    offer.pid = getpid();
    CHILD_CHECK(cuda("cuMemCreate", &closed, size_t{2 * kMiB}, &properties, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemExportToShareableHandle", &offer.memory, closed, 1, uint64_t{0}) ==
                kCudaInvalidValue);  // not made for it
    properties.handle_types = 1;
    CHILD_CHECK(cuda("cuMemCreate", &memory, size_t{64 * kMiB}, &properties, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemExportToShareableHandle", &offer.memory, memory, 1, uint64_t{0}) == 0);
    void* same = nullptr;
    CHILD_CHECK(cuda("cuMemImportFromShareableHandle", &same,
                     reinterpret_cast<void*>(intptr_t{offer.memory}), 1) == 0 &&
                same == memory);
    CHILD_CHECK(cuda("cuMemRelease", same) == 0);
    CudaPoolProperties pool_properties = {};
    pool_properties.alloc_type = 1;
    pool_properties.handle_types = 1;
    pool_properties.location = {kLocationDevice, 0};
    CHILD_CHECK(cuda("cuMemPoolCreate", &pool, &pool_properties) == 0);
    uint64_t pointer = 0;
    CHILD_CHECK(cuda("cuMemAllocFromPoolAsync", &pointer, size_t{6 * kMiB}, pool, kNull) == 0);
    CHILD_CHECK(cuda("cuMemPoolExportToShareableHandle", &offer.pool, pool, 1, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemPoolExportPointer", &offer.pointer, pointer) == 0);
    Write("offer", offer);
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  ASSERT_TRUE(exporter.AwaitWord());
  InChild([this] {
    Cuda cuda;
    const uint64_t before = cuda.FreeBytes();
    const auto offer = Read<Offer>("offer");
    const auto take = [&](int fd) {
      const std::string path = "/proc/" + std::to_string(offer.pid) + "/fd/" + std::to_string(fd);
      return reinterpret_cast<void*>(intptr_t{open(path.c_str(), O_RDONLY)});
    };
    void *memory = nullptr, *pool = nullptr;
    uint64_t address = 0, pointer = 0;
    CHILD_CHECK(cuda("cuMemImportFromShareableHandle", &memory, take(offer.memory), 1) == 0);
    CHILD_CHECK(cuda("cuMemAddressReserve", &address, size_t{64 * kMiB}, size_t{0}, uint64_t{0},
                     uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemMap", address, size_t{64 * kMiB}, size_t{0}, memory, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemRelease", memory) == 0);
    CHILD_CHECK(cuda("cuMemUnmap", address, size_t{64 * kMiB}) == 0);
    CHILD_CHECK(
        cuda("cuMemPoolImportFromShareableHandle", &pool, take(offer.pool), 1, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemAllocFromPoolAsync", &pointer, size_t{1}, pool, kNull) ==
                kCudaInvalidValue);
    CHILD_CHECK(cuda("cuMemPoolImportPointer", &pointer, pool, &offer.pointer) == 0);
    CHILD_CHECK(cuda("cuMemFreeAsync", pointer, kNull) == 0);
    CHILD_CHECK(cuda.FreeBytes() == before);  // the exporter pays
    return 0;
  });
}

TEST_F(ShareTest, ExternalMemoryIsItsOwners) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    struct {
      int type = 1;
      union {
        int fd;
        void* room[2];
      } handle = {};
      uint64_t size = 10 * kMiB;
      unsigned flags = 0, reserved[16] = {};
    } description;
    struct {
      uint64_t offset = kMiB, size = 9 * kMiB;
      unsigned flags = 0, reserved[16] = {};
    } buffer;
    description.handle.fd = open("/dev/null", O_RDONLY);
    void* memory = nullptr;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda("cuImportExternalMemory", &memory, &description) == 0);
    CHILD_CHECK(cuda("cuExternalMemoryGetMappedBuffer", &pointer, memory, &buffer) == 0);
    ++buffer.offset;
    CHILD_CHECK(cuda("cuExternalMemoryGetMappedBuffer", &pointer, memory, &buffer) ==
                kCudaInvalidValue);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda.Free(pointer) == 0 && cuda("cuDestroyExternalMemory", memory) == 0);
    return 0;
  });
}

TEST_F(ShareTest, ModulesTakeMemoryUntilTheyAreUnloaded) {
  WriteCards("cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100, module_kib: 1024}]\n");
  InChild([] {
    Cuda cuda;
    void *module = nullptr, *big = nullptr, *library = nullptr, *kernel = nullptr;
    CHILD_CHECK(cuda("cuModuleLoadData", &module, "any image") == 0);
    CHILD_CHECK(cuda.FreeBytes() == 899 * kMiB);
    CHILD_CHECK(cuda("cuModuleLoadData", &big, "fakegpu-module kib=102400") == 0);
    CHILD_CHECK(cuda.FreeBytes() == 799 * kMiB);
    CHILD_CHECK(cuda("cuModuleLoadData", &kernel, "fakegpu-module kib=999999999") ==
                kCudaOutOfMemory);
    CHILD_CHECK(cuda("cuModuleUnload", big) == 0 && cuda.FreeBytes() == 899 * kMiB);
    CHILD_CHECK(cuda("cuCtxSetCurrent", kNull) == 0);  // a library needs no context yet
    CHILD_CHECK(cuda("cuLibraryLoadData", &library, "fakegpu-module kib=10240", kNull, kNull, 0u,
                     kNull, kNull, 0u) == 0);
    CHILD_CHECK(cuda("cuCtxSetCurrent", cuda.context) == 0 && cuda.FreeBytes() == 899 * kMiB);
    CHILD_CHECK(cuda("cuLibraryGetKernel", &kernel, library, "k_5us") == 0);
    CHILD_CHECK(cuda.FreeBytes() == 889 * kMiB);
    CHILD_CHECK(cuda("cuLibraryUnload", library) == 0 && cuda.FreeBytes() == 899 * kMiB);
    CHILD_CHECK(cuda("cuModuleLoad", &module, "/no/such/file") == 301);
    return 0;
  });
}

TEST_F(ShareTest, ManagedMemoryMayExceedTheCardAndGivesWay) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    uint64_t managed = 0, pointer = 0;
    CHILD_CHECK(cuda("cuMemAllocManaged", &managed, size_t{3000 * kMiB}, 1u) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 0);
    CHILD_CHECK(cuda.Alloc(400 * kMiB, &pointer) == 0);  // pages move to the host
    CHILD_CHECK(cuda.FreeBytes() == 0);
    CHILD_CHECK(cuda("cuMemPrefetchAsync", managed, size_t{3000 * kMiB}, 0, kNull) == 0);
    CHILD_CHECK(cuda.Free(managed) == 0 && cuda.FreeBytes() == 500 * kMiB);
    return 0;
  });
  EXPECT_EQ(Books().Peak(0), 1000 * kMiB);
}

TEST_F(ShareTest, MulticastObjectsTakeNoMemory) {
  WriteCards("cards: [{model: NVIDIA H200, count: 2, context_mib: 0}]\n");
  InChild([] {
    Cuda cuda;
    struct {
      unsigned devices = 2;
      size_t size = 4 * kMiB;
      uint64_t handle_types = 0, flags = 0;
    } properties;
    CudaAllocationProperties memory = {};
    memory.type = 1;
    memory.location = {kLocationDevice, 0};
    void *object = nullptr, *physical = nullptr;
    const uint64_t before = cuda.FreeBytes();
    CHILD_CHECK(cuda("cuMulticastCreate", &object, &properties) == 0);
    CHILD_CHECK(cuda("cuMulticastAddDevice", object, 0) == 0);
    CHILD_CHECK(cuda.FreeBytes() == before);
    CHILD_CHECK(cuda("cuMemCreate", &physical, size_t{4 * kMiB}, &memory, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMulticastBindMem", object, size_t{0}, physical, size_t{0}, size_t{4 * kMiB},
                     uint64_t{0}) == kCudaIllegalState);  // a device is missing
    CHILD_CHECK(cuda("cuMulticastAddDevice", object, 1) == 0);
    CHILD_CHECK(cuda("cuMulticastBindMem", object, size_t{0}, physical, size_t{0}, size_t{4 * kMiB},
                     uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMulticastUnbind", object, 0, size_t{0}, size_t{4 * kMiB}) == 0);
    CHILD_CHECK(cuda("cuMemRelease", object) == 0);
    return 0;
  });
}

TEST_F(ShareTest, AGreenContextIsAPartOfThePrimaryAndTellsItsShare) {
  WriteCards("cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100, sm_count: 40}]\n");
  InChild([] {
    Cuda cuda;
    struct Resource {
      int type;
      unsigned char padding[92];
      unsigned sm_count;
      unsigned char rest[44];
    } all = {}, parts[2] = {}, rest = {};
    CHILD_CHECK(cuda("cuDeviceGetDevResource", 0, &all, 1) == 0 && all.sm_count == 40);
    unsigned groups = 2;
    CHILD_CHECK(cuda("cuDevSmResourceSplitByCount", &parts[0], &groups, &all, &rest, 0u, 15u) == 0);
    CHILD_CHECK(groups == 2 && parts[1].sm_count == 16 && rest.sm_count == 8);
    void *description = nullptr, *green = nullptr, *context = nullptr, *stream = nullptr;
    CHILD_CHECK(cuda("cuDevResourceGenerateDesc", &description, &parts[0], 1u) == 0);
    CHILD_CHECK(cuda("cuGreenCtxCreate", &green, description, 0, 1u) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda("cuCtxFromGreenCtx", &context, green) == 0);
    CHILD_CHECK(cuda("cuCtxGetDevResource", context, &rest, 1) == 0 && rest.sm_count == 16);
    CHILD_CHECK(cuda("cuGreenCtxStreamCreate", &stream, green, 1u, 0) == 0);
    CHILD_CHECK(cuda("cuStreamSynchronize", stream) == 0);
    uint64_t pointer = 0;
    CHILD_CHECK(cuda("cuCtxPushCurrent_v2", context) == 0 && cuda.Alloc(kMiB, &pointer) == 0);
    CHILD_CHECK(cuda("cuCtxPopCurrent_v2", &context) == 0);
    CHILD_CHECK(cuda("cuGreenCtxDestroy", green) == 0 && cuda.FreeBytes() == 899 * kMiB);
    CHILD_CHECK(cuda("cuMemFree_v2", pointer) == 0 && cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda("cuGreenCtxCreate", &green, description, 0, 1u) == 0);
    CHILD_CHECK(cuda("cuDevicePrimaryCtxRelease_v2", 0) == 0);  // the green one still uses it
    CHILD_CHECK(cuda("cuMemAlloc_v2", &pointer, size_t{1}) == 0);
    CHILD_CHECK(cuda("cuGreenCtxDestroy", green) == 0);
    CHILD_CHECK(cuda("cuMemAlloc_v2", &pointer, size_t{1}) != 0);
    return 0;
  });
}

TEST_F(ShareTest, SparseArraysKeepTheBlocksThatAreMappedIntoThem) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    struct MapInfo {
      int32_t resource_type = 0;
      void* resource = nullptr;
      int32_t kind = 0;
      alignas(8) uint32_t place[8] = {};
      int32_t operation = 1, handle_type = 0;
      uint64_t handle = 0, offset = 0;
      uint32_t devices = 1, flags = 0, reserved[2] = {};
    } info;
    static_assert(sizeof info == 96);
    const CudaAllocationProperties properties = {1, 0, {1, 0}, nullptr, {}};
    const CudaArray3dDescriptor shape = {1 << 20, 1 << 10, 0, 0x20, 1, 0x40};
    const auto free = [&] { return cuda.FreeBytes() / kMiB; };
    CHILD_CHECK(cuda("cuArray3DCreate_v2", &info.resource, &shape) == 0 && free() == 900);
    for (uint32_t i = 0; i < 2; ++i) {
      CHILD_CHECK(cuda("cuMemCreate", &info.handle, size_t{10 * kMiB}, &properties, 0ull) == 0);
      info.place[2] = i;
      CHILD_CHECK(cuda("cuMemMapArrayAsync", &info, 1u, kNull) == 0);
      CHILD_CHECK(cuda("cuMemRelease", info.handle) == 0);
    }
    CHILD_CHECK(free() == 880);
    info.operation = 2;
    CHILD_CHECK(cuda("cuMemMapArrayAsync_ptsz", &info, 1u, kNull) == 0 && free() == 890);
    CHILD_CHECK(cuda("cuArrayDestroy", info.resource) == 0 && free() == 900);
    return 0;
  });
}

TEST_F(ShareTest, AContextTakesItsArraysWithIt) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    const uint32_t old_shape[] = {1024, 1024, 0x20, 1};
    const CudaArray3dDescriptor shape = {1024, 1024, 0, 0x20, 1, 0};
    void *context = nullptr, *array = nullptr, *mipmap = nullptr;
    CHILD_CHECK(cuda("cuCtxCreate_v2", &context, 0u, 0) == 0 && cuda.FreeBytes() == 800 * kMiB);
    CHILD_CHECK(cuda("cuArrayCreate", &array, &old_shape[0]) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 796 * kMiB);
    CHILD_CHECK(cuda("cuMipmappedArrayCreate", &mipmap, &shape, 99u) == 0);
    CHILD_CHECK(cuda("cuCtxDestroy_v2", context) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(ShareTest, MipmapsAreChargedLevelByLevel) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    CudaArray3dDescriptor shape = {1024, 1024, 0, 0x20, 1, 0};
    void *mipmap = nullptr, *level = nullptr;
    CHILD_CHECK(cuda("cuMipmappedArrayCreate", &mipmap, &shape, 99u) == 0);
    uint64_t expected = 0;
    for (uint64_t n = 1024; n != 0; n /= 2) expected += n * n * 4;
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB - expected);
    CHILD_CHECK(cuda("cuMipmappedArrayGetLevel", &level, mipmap, 10u) == 0);
    CHILD_CHECK(cuda("cuMipmappedArrayGetLevel", &level, mipmap, 11u) == kCudaInvalidValue);
    CHILD_CHECK(cuda("cuMipmappedArrayDestroy", mipmap) == 0 && cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(ShareTest, CopiesOfBoxesCheckTheirRangesAndMoveTheRightRows) {
  WriteCards(std::string("data: kept\n") + kOneCard);
  InChild([] {
    Cuda cuda;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.Alloc(512 * 4, &pointer) == 0);
    char rows[4][8], back[4][8] = {};
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 8; ++x) rows[y][x] = static_cast<char>('a' + y * 8 + x);
    }
    CudaCopy2d copy = {};
    copy.from = {0, 0, 1, rows, 0, nullptr, 8};
    copy.to = {4, 0, 2, nullptr, pointer, nullptr, 512};
    copy.width = 8;
    copy.height = 4;
    CHILD_CHECK(cuda("cuMemcpy2D_v2", &copy) == 0);
    CHILD_CHECK(*reinterpret_cast<char*>(pointer + 512 * 2 + 4) == rows[2][0]);
    std::swap(copy.from, copy.to);
    copy.to.host = back;
    CHILD_CHECK(cuda("cuMemcpy2DAsync_v2", &copy, kNull) == 0 && memcmp(rows, back, 32) == 0);
    copy.height = 5;
    CHILD_CHECK(cuda("cuMemcpy2D_v2", &copy) == kCudaInvalidValue);
    CudaCopy3d box = {};
    box.from.type = 2;
    box.from.device = pointer;
    box.from.pitch = 512;
    box.from.height = 2;
    box.to.type = 1;
    box.to.host = back;
    box.width = box.depth = 2;
    box.height = 1;
    CHILD_CHECK(cuda("cuMemcpy3D_v2", &box) == 0);
    box.depth = 3;
    CHILD_CHECK(cuda("cuMemcpy3D_v2", &box) == kCudaInvalidValue);
    return 0;
  });
}

}  // namespace
}  // namespace hami::sim
