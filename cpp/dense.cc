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

namespace {

struct Choice {
  const char* instruction_set;
  const DenseTables& tables;
};

#if defined(__x86_64__)
Choice choose() {
  if (__builtin_cpu_supports("x86-64-v4")) return {"x86-64-v4", v4::tables};
  if (__builtin_cpu_supports("x86-64-v3")) return {"x86-64-v3", v3::tables};
  return {"x86-64-v2", v2::tables};
}
#else
Choice choose() { return {"the baseline of this architecture", base::tables}; }
#endif

const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

const DenseTables& tables() { return chosen().tables; }

}  // namespace

const char* instruction_set() { return chosen().instruction_set; }

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
