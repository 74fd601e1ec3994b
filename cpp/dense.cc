// dense.cc: which of the compiled dense kernels this processor gets, decided once, and the memory in
// which large products pack their operands.

#include "dense.h"

#include <cstdlib>

namespace elimax {

void* packing_buffer() {
  struct Buffer {
    void* data = std::aligned_alloc(64, block_bytes + panel_bytes);
    ~Buffer() { std::free(data); }
  };
  static thread_local const Buffer buffer;
  return buffer.data;
}

#if defined(__x86_64__)
static const DenseTables& choose() {
  if (__builtin_cpu_supports("x86-64-v4")) return v4::tables;
  if (__builtin_cpu_supports("x86-64-v3")) return v3::tables;
  return v2::tables;
}
#else
static const DenseTables& choose() { return base::tables; }
#endif

static const DenseTables& tables() {
  static const DenseTables& chosen = choose();
  return chosen;
}

template <>
const DenseKernels<float>& dense() {
  return tables().float32;
}
template <>
const DenseKernels<double>& dense() {
  return tables().float64;
}
template <>
const DenseKernels<std::complex<float>>& dense() {
  return tables().complex64;
}
template <>
const DenseKernels<std::complex<double>>& dense() {
  return tables().complex128;
}
template <>
const DenseKernels<Bilinear<float>>& dense() {
  return tables().bilinear64;
}
template <>
const DenseKernels<Bilinear<double>>& dense() {
  return tables().bilinear128;
}

}  // namespace elimax
