// ffi_product.cc: XLA FFI handlers of products with sparse matrices, and of gathers and scatters.
//
// The handlers are named after the slot of the trilinear form that they compute; the operands are the
// other two slots, in the order v, x, y or a, b, c of numeric.h.

#include "ffi.h"

namespace elimax {
namespace {

// t(v, x, y): v is `first`, x `second`, y `third`.
template <Slot slot>
ffi::Error product_handler(ffi::ThreadPool pool, ffi::AnyBuffer left, ffi::AnyBuffer right,
                           ffi::Result<ffi::AnyBuffer> result, std::int64_t pattern_high,
                           std::int64_t pattern_low, std::int64_t storage_code) {
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!pattern) return unknown_structure();
  const auto storage = static_cast<Storage>(storage_code);
  return for_scalar(left.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const auto k = static_cast<Index>(right.dimensions().back());
    const Batched<T> out(*result, slot == Slot::first ? 1 : 2);
    const Batched<const T> l(left, slot == Slot::first ? 2 : 1, out.batch()), r(right, 2, out.batch());
    return for_batch(pool, out.batch(), 2.0 * pattern->rows.size() * k, [&](Offset i) {
      if constexpr (slot == Slot::first) {
        product_v<T>(*pattern, storage, r[i], l[i], k, out[i]);
      } else if constexpr (slot == Slot::second) {
        product_x<T>(*pattern, storage, l[i], r[i], k, out[i]);
      } else {
        product_y<T>(*pattern, storage, l[i], r[i], k, out[i]);
      }
    });
  });
}

// t(a, b, c): a is `first`, b `second`, c `third`.
template <Slot slot>
ffi::Error contract_handler(ffi::ThreadPool pool, ffi::AnyBuffer left, ffi::AnyBuffer right,
                            ffi::Result<ffi::AnyBuffer> result, std::int64_t a_high, std::int64_t a_low,
                            std::int64_t b_high, std::int64_t b_low, std::int64_t c_high,
                            std::int64_t c_low) {
  const auto A = find<Pattern>(hash_of(a_high, a_low));
  const auto B = find<Pattern>(hash_of(b_high, b_low));
  const auto C = find<Pattern>(hash_of(c_high, c_low));
  if (!A || !B || !C) return unknown_structure();
  return for_scalar(left.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> out(*result, 1);
    const Batched<const T> l(left, 1, out.batch()), r(right, 1, out.batch());
    const double time = 4.0 * (A->rows.size() + B->rows.size() + C->rows.size());
    return for_batch<Index>(pool, out.batch(), time, C->n_rows, [&](Offset i, Index* work) {
      if constexpr (slot == Slot::first) {
        contract_a<T>(*A, *B, *C, r[i], l[i], out[i], work);
      } else if constexpr (slot == Slot::second) {
        contract_b<T>(*A, *B, *C, r[i], l[i], out[i], work);
      } else {
        contract_c<T>(*A, *B, *C, l[i], r[i], out[i], work);
      }
    });
  });
}

// Gather, or its transpose. What is gathered from, or scattered into, has `rank` dimensions.
template <bool transposed>
ffi::Error map_handler(ffi::ThreadPool pool, ffi::AnyBuffer input, ffi::Result<ffi::AnyBuffer> output,
                       std::int64_t map_high, std::int64_t map_low, std::int64_t rank) {
  const auto map = find<IndexMap>(hash_of(map_high, map_low));
  if (!map) return unknown_structure();
  return for_scalar(input.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<T> out(*output, transposed ? rank : 1);
    const Batched<const T> in(input, transposed ? 1 : rank, out.batch());
    return for_batch(pool, out.batch(), 1.0 * (in.size() + out.size()), [&](Offset i) {
      if constexpr (transposed) {
        scatter<T>(map->map, in[i], out[i], out.size());
      } else {
        gather<T>(*map, in[i], out[i]);
      }
    });
  });
}

auto product_binding() {
  return with_structures(ffi::Ffi::Bind()
                             .Ctx<ffi::ThreadPool>()
                             .Arg<ffi::AnyBuffer>()
                             .Arg<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>(),
                         "pattern")
      .Attr<std::int64_t>("storage");
}

auto contract_binding() {
  return with_structures(ffi::Ffi::Bind()
                             .Ctx<ffi::ThreadPool>()
                             .Arg<ffi::AnyBuffer>()
                             .Arg<ffi::AnyBuffer>()
                             .Ret<ffi::AnyBuffer>(),
                         "a", "b", "c");
}

auto map_binding() {
  return with_structures(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>(),
                         "map")
      .Attr<std::int64_t>("rank");
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_product_v, product_handler<Slot::first>, product_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_product_x, product_handler<Slot::second>, product_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_product_y, product_handler<Slot::third>, product_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_contract_a, contract_handler<Slot::first>, contract_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_contract_b, contract_handler<Slot::second>, contract_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_contract_c, contract_handler<Slot::third>, contract_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_gather, map_handler<false>, map_binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_scatter, map_handler<true>, map_binding());

#pragma GCC visibility pop
