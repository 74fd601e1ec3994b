// ffi.h: what every XLA FFI handler shares: the dtype switch, the batch loop, look-ups, scratch memory.
//
// Only ffi*.cc include this file, and only this file includes XLA. An operand may have leading dimensions,
// which count the elements of a batch; one without them is shared by the whole batch, and one with m times
// fewer elements serves m elements in a row (define.py and partition.py see to that).
#pragma once

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include <cstdlib>
#include <new>
#include <string>

#include "batch.h"
#include "numeric.h"
#include "schedule.h"
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

// The same for values that stand for a matrix by `storage`: those of complex symmetric ones are Bilinear.
template <class Body>
ffi::Error for_scalar(ffi::DataType dtype, Storage storage, Body body) {
  if (storage == Storage::symmetric && dtype == ffi::C64) return body(Bilinear<float>{});
  if (storage == Storage::symmetric && dtype == ffi::C128) return body(Bilinear<double>{});
  return for_scalar(dtype, body);
}

inline ffi::Error unknown_structure() {
  return ffi::Error(
      ffi::ErrorCode::kFailedPrecondition,
      "elimax: this compiled program uses a sparsity structure that is not registered in this "
      "process: it was cleared with clear_structures(), or the program was compiled elsewhere. Trace and "
      "compile the function again; elimax.export makes programs that carry their structures.");
}

inline Hash hash_of(std::int64_t high, std::int64_t low) {
  return {static_cast<std::uint64_t>(high), static_cast<std::uint64_t>(low)};
}

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

// One operand or result as batch element i of `elements` sees it: `rank` core dimensions behind those of the
// batch. Results are about to be filled.
template <class T>
class Batched {
 public:
  template <class Buffer>
  Batched(Buffer&& operand, std::size_t rank, Offset elements)
      : data_(reinterpret_cast<T*>(operand.untyped_data())) {
    const auto dimensions = operand.dimensions();
    const std::size_t lead = dimensions.size() - rank;
    for (std::size_t d = 0; d < dimensions.size(); ++d) (d < lead ? batch_ : size_) *= dimensions[d];
    share_ = batch_ ? std::max<Offset>(elements / batch_, 1) : 1;
  }
  // A result has a batch element of its own for each element.
  template <class Buffer>
  Batched(Buffer&& result, std::size_t rank) : Batched(result, rank, 0) {
    static_assert(!std::is_const_v<T>, "how many elements an operand serves, the results know");
    advise_huge_pages(data_, result.size_bytes());
  }
  T* operator[](Offset i) const { return data_ + i / share_ * size_; }
  Offset batch() const { return batch_; }
  Offset size() const { return size_; }  // entries of one batch element

 private:
  T* data_;
  Offset size_ = 1, batch_ = 1, share_;
};

// The operands behind the named ones: the directions of derivatives, those of each batch element in a row.
template <class T>
class Directions {
 public:
  Directions(ffi::RemainingArgs operands, Offset batch)
      : order_(operands.size()), elements_(batch * operands.size()) {
    for (std::size_t d = 0; d < order_; ++d) {
      const Batched<const T> direction(*operands.get<ffi::AnyBuffer>(d), 1, batch);
      for (Offset i = 0; i < batch; ++i) elements_[i * order_ + d] = direction[i];
    }
  }
  Index order() const { return static_cast<Index>(order_); }
  In<const T*> operator[](Offset i) const { return {elements_.data() + i * order_, order_}; }

 private:
  std::size_t order_;
  std::vector<const T*> elements_;
};

// Adds the attributes NAME_high and NAME_low by which a structure reaches a handler, as two integers.
template <class Binding, class... Names>
auto with_structures(Binding&& binding, const std::string& name, const Names&... others) {
  if constexpr (sizeof...(others) == 0) {
    return std::move(binding)
        .template Attr<std::int64_t>(name + "_high")
        .template Attr<std::int64_t>(name + "_low");
  } else {
    return with_structures(with_structures(std::move(binding), name), others...);
  }
}

// The argument of a multilinear form that a handler computes, from the other two.
enum class Slot : std::int32_t { first = 0, second = 1, third = 2 };

// Uninitialized memory for one worker, or none of it, which is not a failure.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes)
      : bytes_(bytes), data_(bytes ? std::aligned_alloc(64, (bytes + 63) / 64 * 64) : nullptr) {
    if (data_) advise_huge_pages(data_, bytes);
  }
  ~Scratch() { std::free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  explicit operator bool() const { return data_ || !bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  std::size_t bytes_;
  void* data_;
};

// What ELIMAX_NUM_THREADS said at the first call, and how many threads it lets one call have: any number if
// it is not set, 0 if it is not a positive integer.
struct ThreadLimit {
  std::string text;
  int threads = Crew::most;

  ThreadLimit() {
    if (const char* value = std::getenv("ELIMAX_NUM_THREADS")) text = value;
    if (text.empty()) return;
    char* end;
    const long number = std::strtol(text.c_str(), &end, 10);
    threads = *end == 0 && number > 0 ? static_cast<int>(std::min<long>(number, Crew::most)) : 0;
  }
};
inline const ThreadLimit& thread_limit() {
  static const ThreadLimit limit;
  return limit;
}

// XLA's pool, for the loop of batch.h. XLA's own queue is not instrumented: a library that is gets a task
// that tells ThreadSanitizer that what was written before it was scheduled was written before it ran.
class Pool {
 public:
  explicit Pool(ffi::ThreadPool pool) : pool_(pool) {}
  std::int64_t num_threads() const {
    return std::min<std::int64_t>(pool_.num_threads(), thread_limit().threads);
  }
  template <class Task>
  void Schedule(Task task) {
#ifdef __SANITIZE_THREAD__
    struct Told {
      Task task;
      explicit Told(Task&& t) : task(std::move(t)) {}
      Told(Told&& other) : task(std::move(other.task)) { __tsan_release(this); }
      void operator()() {
        __tsan_acquire(this);
        task();
      }
    };
    pool_.Schedule(Told(std::move(task)));
#else
    pool_.Schedule(std::move(task));
#endif
  }

 private:
  ffi::ThreadPool pool_;
};

inline ffi::Error out_of_memory(const std::string& what) {
  return ffi::Error(ffi::ErrorCode::kResourceExhausted, "elimax: out of memory for " + what);
}
inline ffi::Error out_of_memory(std::size_t bytes) {
  return out_of_memory("a workspace of " + std::to_string(bytes) + " bytes");
}
inline ffi::Error bad_thread_limit() {
  return ffi::Error::InvalidArgument(
      "elimax: the environment variable ELIMAX_NUM_THREADS must be a positive integer or not be set, got '" +
      thread_limit().text + "'");
}

// Calls body(i, workspace) for every element of a batch, on the threads of XLA's pool, with `workspace`
// entries of type W per worker. `nanoseconds` predicts one element, within a factor of a few.
template <class W, class Body>
ffi::Error for_batch(ffi::ThreadPool threads, Offset batch, double nanoseconds, Offset workspace,
                     const Body& body) {
  if (thread_limit().threads == 0) return bad_thread_limit();
  Pool pool(threads);
  const std::size_t bytes = workspace * sizeof(W);
  const auto make = [&] { return Scratch(bytes); };
  if (for_elements(pool, batch, nanoseconds, make,
                   [&](Offset i, const Scratch& scratch) { body(i, scratch.as<W>()); }))
    return ffi::Error::Success();
  return out_of_memory(bytes);
}

// The same for a body(i) that needs none.
template <class Body>
ffi::Error for_batch(ffi::ThreadPool threads, Offset batch, double nanoseconds, const Body& body) {
  return for_batch<char>(threads, batch, nanoseconds, 0, [&](Offset i, char*) { body(i); });
}

// Calls body(i, schedule, crew, workspace) for every matrix of a batch: side by side if there are as many of
// them as threads that the time of one is worth, else one by one with so many threads on each.
// workspace_of(schedule) is the number of its entries.
template <class W, class WorkspaceOf, class Body>
ffi::Error for_matrices(ffi::ThreadPool threads, const Symbolic& symbolic, Offset batch, double nanoseconds,
                        const WorkspaceOf& workspace_of, const Body& body) try {
  if (thread_limit().threads == 0) return bad_thread_limit();
  Pool pool(threads);
  const auto most = static_cast<double>(std::max<std::int64_t>(pool.num_threads(), 1));
  const int worth = symbolic.simplicial() ? 1 : static_cast<int>(std::clamp(nanoseconds / 100e3, 1.0, most));
  const int team = batch >= worth ? 1 : worth;
  const auto schedule = symbolic.schedules.of(symbolic, team);
  const Offset workspace = workspace_of(*schedule);
  if (team == 1)
    return for_batch<W>(threads, batch, nanoseconds, workspace, [&](Offset i, W* memory) {
      Crew alone;
      body(i, *schedule, alone, memory);
    });
  const Scratch memory(workspace * sizeof(W));
  if (!memory) return out_of_memory(workspace * sizeof(W));
  with_crew(pool, team, [&](Crew& crew) {
    for (Offset i = 0; i < batch; ++i) body(i, *schedule, crew, memory.as<W>());
  });
  return ffi::Error::Success();
} catch (const std::bad_alloc&) {
  return out_of_memory("a schedule of threads");
}

// Predicted nanoseconds of one sweep over the fronts, and of one over the factor for each right-hand side.
inline double sweep_time(const Symbolic& symbolic) {
  return 2.0 * static_cast<double>(symbolic.factor_size()) + symbolic.flops / 20;
}
inline double solve_time(const Symbolic& symbolic, Offset k) {
  return 0.2 * static_cast<double>(symbolic.factor_size()) * static_cast<double>(k);
}

}  // namespace elimax
