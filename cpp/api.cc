// api.cc: the plain C functions that Python's ctypes calls; their twin is _structure/_native.py. Those of
// colorings are in api_coloring.cc.
//
// A handle is a heap-allocated shared_ptr, freed by its elimax_*_free. Arrays come in as pointers into
// NumPy's memory, which the caller keeps alive for the length of the call. A function that can run out
// of memory returns null or zero then; elimax_pin_content returns a Restored.

#include "api.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <optional>

#include "dense.h"
#include "host.h"
#include "numeric.h"

using namespace elimax;

namespace {

using SymbolicHandle = std::shared_ptr<const Symbolic>;
using EmbeddingHandle = std::shared_ptr<const Embedding>;

template <class V>
void view(const V& array, const void** data, Offset* size) {
  *data = array.data();
  *size = static_cast<Offset>(array.size());
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// 1 on success, 0 when out of memory.
int elimax_amd(Index n, const Index* ptr, const Index* rows, Index* permutation) {
  return guard([&] {
    amd(columns(n, n, ptr, rows), {permutation, static_cast<std::size_t>(n)});
    return 1;
  });
}

// magnitudes: null if all are equal. The structural rank, or -1 when out of memory.
Index elimax_match(Index m, Index n, const Index* ptr, const Index* rows, const double* magnitudes,
                   Index* row_of_column, double* row_scale, double* column_scale) {
  const auto rank = guard([&] {
    const Columns A = columns(m, n, ptr, rows);
    const In<double> sizes(magnitudes, magnitudes ? A.rows.size() : 0);
    return std::optional(maximum_product_matching(A, sizes, array(row_of_column, n), array(row_scale, m),
                                                  array(column_scale, n)));
  });
  return rank.value_or(-1);
}
// 1 on success, 0 when out of memory; the parts are those of Part.
int elimax_dulmage_mendelsohn(Index m, Index n, const Index* ptr, const Index* rows,
                              const Index* row_of_column, Index* row_part, Index* column_part) {
  return guard([&] {
    dulmage_mendelsohn(columns(m, n, ptr, rows), array(row_of_column, n), array(row_part, m),
                       array(column_part, n));
    return 1;
  });
}
int elimax_symmetric_matching(Index n, const Index* row_of_column, const Index* weak, Index* group) {
  return guard([&] {
    symmetric_matching(array(row_of_column, n), array(weak, n), array(group, n));
    return 1;
  });
}

// model: the members of TimeModel, those of Relaxation first; method: a Method.
void* elimax_analyze(Index n, const Index* ptr, const Index* rows, const Index* permutation,
                     const double* model, int method) {
  return guard([&]() -> void* {
    const double* m = model;
    return new SymbolicHandle(analyze(columns(n, n, ptr, rows), {permutation, static_cast<std::size_t>(n)},
                                      {{m[0], m[1], m[2], m[3], m[4], m[5]}, m[6], m[7], m[8], m[9], m[10]},
                                      static_cast<Method>(method)));
  });
}
void elimax_symbolic_free(SymbolicHandle* handle) { delete handle; }

// integers: n, supernodes, factor_nonzeros, factor_size, max_columns, max_rows, max_below, method;
// floats: flops, predicted_time.
void elimax_symbolic_scalars(const SymbolicHandle* handle, Offset* integers, double* floats) {
  const Symbolic& s = **handle;
  const Offset values[] = {s.n,           s.supernodes(), s.factor_nonzeros, s.factor_size(),
                           s.max_columns, s.max_rows,     s.max_below,       static_cast<Offset>(s.method)};
  std::copy(std::begin(values), std::end(values), integers);
  floats[0] = s.flops;
  floats[1] = s.predicted_time;
}

// Entries of the workspace of a factorization by that many threads; 0 when out of memory.
Offset elimax_symbolic_workspace(const SymbolicHandle* handle, int threads) {
  return guard([&] { return cholesky_workspace(**handle, *(*handle)->schedules.of(**handle, threads)); });
}

// which: the position of the array in Symbolic, from permutation (0) to panel (9).
void elimax_symbolic_array(const SymbolicHandle* handle, int which, const void** data, Offset* size) {
  const Symbolic& s = **handle;
  switch (which) {
    case 0: return view(s.permutation, data, size);
    case 1: return view(s.inverse, data, size);
    case 2: return view(s.parent, data, size);
    case 3: return view(s.counts, data, size);
    case 4: return view(s.super, data, size);
    case 5: return view(s.super_parent, data, size);
    case 6: return view(s.row_ptr, data, size);
    case 7: return view(s.rows, data, size);
    case 8: return view(s.relative, data, size);
    default: return view(s.panel, data, size);
  }
}

void* elimax_embed(const SymbolicHandle* handle, Index n, const Index* ptr, const Index* rows,
                   Index* outside) {
  return guard([&]() -> void* {
    auto embedding = embed(**handle, columns(n, n, ptr, rows), *outside);
    return embedding ? new EmbeddingHandle(std::move(embedding)) : nullptr;
  });
}
void* elimax_embed_general(const SymbolicHandle* handle, Index n, const Index* ptr, const Index* rows,
                           const Index* row_of_column, Index* outside) {
  return guard([&]() -> void* {
    auto embedding = embed_general(**handle, columns(n, n, ptr, rows),
                                   {row_of_column, static_cast<std::size_t>(n)}, *outside);
    return embedding ? new EmbeddingHandle(std::move(embedding)) : nullptr;
  });
}
// which: ptr (0), source (1), target (2), diagonal (3) or row_order (4) of an Embedding.
void elimax_embedding_array(const EmbeddingHandle* handle, int which, const void** data, Offset* size) {
  const Embedding& e = **handle;
  switch (which) {
    case 0: return view(e.ptr, data, size);
    case 1: return view(e.source, data, size);
    case 2: return view(e.target, data, size);
    case 3: return view(e.diagonal, data, size);
    default: return view(e.row_order, data, size);
  }
}
void elimax_embedding_free(EmbeddingHandle* handle) { delete handle; }

int elimax_factor_pattern(const SymbolicHandle* handle, Index n, const Index* ptr, const Index* rows,
                          Offset* factor_ptr, Index* factor_rows, Offset* position) {
  return guard([&] {
    const auto size = static_cast<std::size_t>((*handle)->factor_nonzeros);
    factor_pattern(**handle, columns(n, n, ptr, rows), {factor_ptr, static_cast<std::size_t>(n) + 1},
                   {factor_rows, size}, {position, size});
    return 1;
  });
}

int elimax_pin_symbolic(const SymbolicHandle* handle, std::uint64_t high, std::uint64_t low) {
  return guard([&] { return pin<Symbolic>({high, low}, *handle), 1; });
}
int elimax_pin_embedding(const EmbeddingHandle* handle, std::uint64_t high, std::uint64_t low) {
  return guard([&] { return pin<Embedding>({high, low}, *handle), 1; });
}
// The members of Content, and the hash; returns a Restored.
int elimax_pin_content(const char* kind, const std::int64_t* preamble, Offset preamble_size,
                       const Index* const* arrays, const Offset* sizes, int n_arrays, std::uint64_t high,
                       std::uint64_t low) {
  const auto restored = [&] {
    Content content{kind, {preamble, static_cast<std::size_t>(preamble_size)}, {}};
    for (int k = 0; k < n_arrays; ++k)
      content.arrays.emplace_back(arrays[k], static_cast<std::size_t>(sizes[k]));
    return restore(content, {high, low});
  };
  try {
    return static_cast<int>(restored());
  } catch (const std::bad_alloc&) {
    return static_cast<int>(Restored::out_of_memory);
  }
}
void elimax_clear_structures() { clear_structures(); }
void elimax_set_host(HostFunction function) { set_host(function); }
const char* elimax_instruction_set() { return instruction_set(); }
std::int64_t elimax_counted(int counter) { return counted(static_cast<Counter>(counter)); }

}  // extern "C"
#pragma GCC visibility pop
