// api.h: what the plain C functions have in common.
#pragma once

#include <new>

#include "core.h"

namespace elimax {

inline Columns columns(Index n_rows, Index n_cols, const Index* ptr, const Index* rows) {
  return {n_rows,
          n_cols,
          {ptr, static_cast<std::size_t>(n_cols) + 1},
          {rows, static_cast<std::size_t>(ptr[n_cols])}};
}

template <class T>
std::span<T> array(T* data, Index size) {
  return {data, static_cast<std::size_t>(size)};
}

// What the body returns, or nothing at all (null, zero, an empty optional) when out of memory.
template <class F>
auto guard(F body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return {};
  }
}

}  // namespace elimax
