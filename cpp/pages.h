// pages.h: large arrays on large pages.
//
// A factor is a fresh allocation on every call, and so is its workspace: the kernel of the operating system
// clears and maps them page by page as they are first touched, which for a 2-D problem takes half as long as
// the factorization itself. Pages of 2 MiB make that vanish. Linux grants them on request only
// (/sys/kernel/mm/transparent_hugepage/enabled is `madvise` on most systems); it is a hint, and nothing
// depends on its success.
#pragma once

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core.h"

namespace elimax {

// Asks for huge pages where `size` entries at `data` cover them fully.
template <class T>
void prefer_huge_pages([[maybe_unused]] T* data, [[maybe_unused]] Offset size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t page = std::uintptr_t{1} << 21;
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t begin = (address + page - 1) / page * page;
  const std::uintptr_t end = (address + size * sizeof(T)) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace elimax
