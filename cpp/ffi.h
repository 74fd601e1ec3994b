// ffi.h: what every XLA FFI handler shares: the dtype switch, the batch loop, look-ups, scratch memory.
//
// Only ffi*.cc include this file, and only this file includes XLA. Every operand carries at most one
// leading batch dimension (the batching rules in define.py see to that); one without it is shared by
// the whole batch.
#pragma once

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <new>
#include <string>

#include "core.h"
#include "xla/ffi/api/ffi.h"

namespace elimax {

namespace ffi = xla::ffi;

// Calls body(T{}) with the scalar type T of `dtype`.
template <class Body>
ffi::Error for_scalar(ffi::DataType dtype, Body body) {
  switch (dtype) {
    case ffi::F32: return body(float{});
    case ffi::F64: return body(double{});
    case ffi::C64: return body(std::complex<float>{});
    case ffi::C128: return body(std::complex<double>{});
    default:
      return ffi::Error::InvalidArgument(
          "elimax: the values must be float32, float64, complex64 or complex128");
  }
}

inline ffi::Error unknown_structure() {
  return ffi::Error(
      ffi::ErrorCode::kFailedPrecondition,
      "elimax: this compiled program uses a sparsity structure that is not registered in this "
      "process: it was cleared with clear_structures(), or the program was compiled elsewhere. Trace and "
      "compile the function again.");
}

inline Hash hash_of(std::int64_t high, std::int64_t low) {
  return {static_cast<std::uint64_t>(high), static_cast<std::uint64_t>(low)};
}

// One operand or result as batch element i sees it: `rank` core dimensions behind an optional batch
// dimension.
template <class T>
class Batched {
 public:
  template <class Buffer>
  Batched(Buffer& buffer, std::size_t rank) : data_(reinterpret_cast<T*>(buffer.untyped_data())) {
    const auto dimensions = buffer.dimensions();
    size_ = 1;
    const std::size_t lead = dimensions.size() - rank;
    for (std::size_t d = lead; d < dimensions.size(); ++d) size_ *= dimensions[d];
    batch_ = lead ? dimensions[0] : 1;
    stride_ = lead ? size_ : 0;
  }
  T* operator[](Offset i) const { return data_ + i * stride_; }
  Offset batch() const { return batch_; }
  Offset size() const { return size_; }  // entries of one batch element

 private:
  T* data_;
  Offset size_, batch_, stride_;
};

// Advises huge pages for a large buffer about to be filled. XLA hands out fresh memory at every call, and
// touching it by pages of 4 kB costs more than the arithmetic of a light factorization (measured: 0.5 ms
// per MB, five times less with huge pages). Where there are none, nothing happens.
inline void advise_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef __linux__
  constexpr std::uintptr_t huge = 1 << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const auto first = (begin + huge - 1) / huge * huge, last = (begin + bytes) / huge * huge;
  if (first + huge < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// Uninitialized scratch memory for one call.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : data_(std::aligned_alloc(64, (bytes + 64) / 64 * 64)) {
    if (data_) advise_huge_pages(data_, bytes);
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  explicit operator bool() const { return data_ != nullptr; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
};

inline ffi::Error out_of_memory(const char* what) {
  return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                    std::string("elimax: out of memory for the workspace of ") + what);
}

}  // namespace elimax
