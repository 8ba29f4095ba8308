// How many blocks of a kernel fit on a multiprocessor: by threads alone, kernels have no registers.
#include "sim/cuda/driver.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

namespace {

constexpr int kThreadsPerSm = 2048, kBlocksPerSm = 32, kLargestBlock = 1024;

int ActiveBlocks(int* blocks, const void* function, int block_size) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(blocks);
  if (function == nullptr) return kCudaInvalidHandle;
  if (block_size <= 0 || block_size > kLargestBlock) return kCudaInvalidValue;
  const int fit = kThreadsPerSm / block_size;
  *blocks = fit < kBlocksPerSm ? fit : kBlocksPerSm;
  return kCudaSuccess;
}

int BestBlock(Driver& driver, int* grid, int* block, const void* function, int limit) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(grid);
  SIM_CUDA_OUT(block);
  if (function == nullptr) return kCudaInvalidHandle;
  if (limit < 0) return kCudaInvalidValue;
  *block = limit == 0 || limit > kLargestBlock ? kLargestBlock : limit;
  int fit = 0;
  if (const int code = ActiveBlocks(&fit, function, *block); code != 0) return code;
  *grid = static_cast<int>(driver.card(context->card).sm_count) * fit;
  return kCudaSuccess;
}

}  // namespace

SIM_CUDA cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* function, int block_size,
                                                     size_t) {
  SIM_CUDA_CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  return ActiveBlocks(blocks, function, block_size);
}
SIM_CUDA cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void* function,
                                                              int block_size, size_t, unsigned) {
  SIM_CUDA_CALL(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);
  return ActiveBlocks(blocks, function, block_size);
}
SIM_CUDA cuOccupancyMaxPotentialBlockSize(int* grid, int* block, void* function, void*, size_t,
                                          int limit) {
  SIM_CUDA_CALL(cuOccupancyMaxPotentialBlockSize);
  return BestBlock(driver, grid, block, function, limit);
}
SIM_CUDA cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block, void* function, void*,
                                                   size_t, int limit, unsigned) {
  SIM_CUDA_CALL(cuOccupancyMaxPotentialBlockSizeWithFlags);
  return BestBlock(driver, grid, block, function, limit);
}
