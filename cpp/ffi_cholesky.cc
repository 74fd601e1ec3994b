// ffi_cholesky.cc: XLA FFI handlers of the Cholesky factorization and of what is computed from it.
//
// Each handler looks its structures up by hash, loops over the batch and calls one kernel of core.h.

#include <algorithm>

#include "ffi.h"

namespace elimax {
namespace {

// The sentence that the user reads, with {column}, {entry} and {batch} filled in.
ffi::Error failure(std::string_view sentence, Status status, Offset batch, Offset n_batch) {
  std::string text(sentence);
  const auto fill = [&](std::string_view name, const std::string& value) {
    if (const auto at = text.find(name); at != std::string::npos) text.replace(at, name.size(), value);
  };
  fill("{column}", std::to_string(status.code > 0 ? status.code - 1 : status.detail));
  fill("{entry}", std::to_string(status.detail));
  if (n_batch > 1) text += " (batch element " + std::to_string(batch) + ")";
  return ffi::Error(ffi::ErrorCode::kInvalidArgument, std::move(text));
}

// An empty sentence means that failure is reported by status alone.
ffi::Error cholesky_handler(ffi::AnyBuffer values, ffi::Result<ffi::AnyBuffer> factor,
                            ffi::Result<ffi::AnyBuffer> status, ffi::Result<ffi::AnyBuffer> detail,
                            std::int64_t symbolic_high, std::int64_t symbolic_low,
                            std::int64_t embedding_high, std::int64_t embedding_low,
                            std::string_view pivot_sentence, std::string_view not_finite_sentence) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<const T> a(values, 1);
    const Batched<T> L(*factor, 1);
    const Batched<Index> code(*status, 0), place(*detail, 0);
    const Scratch scratch(cholesky_workspace(*symbolic) * sizeof(T));
    if (!scratch) return out_of_memory("a Cholesky factorization");
    advise_huge_pages(L[0], factor->size_bytes());
    count(Counter::factorization, L.batch());
    for (Offset i = 0; i < L.batch(); ++i) {
      const Status result = cholesky<T>(*symbolic, *embedding, a[i], L[i], scratch.as<T>());
      *code[i] = result.code;
      *place[i] = result.detail;
      const std::string_view sentence = result.code > 0 ? pivot_sentence : not_finite_sentence;
      if (result.code != 0 && !sentence.empty()) return failure(sentence, result, i, L.batch());
    }
    return ffi::Error::Success();
  });
}

ffi::Error logdet_handler(ffi::AnyBuffer factor, ffi::Result<ffi::AnyBuffer> logdet,
                          std::int64_t symbolic_high, std::int64_t symbolic_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  if (!symbolic) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<const T> L(factor, 1);
    const Batched<Real<T>> result(*logdet, 0);
    for (Offset i = 0; i < result.batch(); ++i) *result[i] = cholesky_logdet<T>(*symbolic, L[i]);
    return ffi::Error::Success();
  });
}

ffi::Error solve_handler(ffi::AnyBuffer factor, ffi::AnyBuffer right_hand_side,
                         ffi::Result<ffi::AnyBuffer> solution, std::int64_t symbolic_high,
                         std::int64_t symbolic_low, std::int64_t part) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  if (!symbolic) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<const T> L(factor, 1), b(right_hand_side, 2);
    const Batched<T> x(*solution, 2);
    const auto k = static_cast<Index>(right_hand_side.dimensions().back());
    const Scratch scratch(solve_workspace(*symbolic, k) * sizeof(T));
    if (!scratch) return out_of_memory("a solve");
    count(Counter::solve, x.batch());
    for (Offset i = 0; i < x.batch(); ++i) {
      cholesky_solve<T>(*symbolic, static_cast<SolvePart>(part), L[i], b[i], k, x[i], scratch.as<T>());
    }
    return ffi::Error::Success();
  });
}

ffi::Error inverse_gradient_handler(ffi::AnyBuffer factor, ffi::RemainingArgs directions,
                                    ffi::Result<ffi::AnyBuffer> gradient, std::int64_t symbolic_high,
                                    std::int64_t symbolic_low, std::int64_t embedding_high,
                                    std::int64_t embedding_low) {
  const auto symbolic = find<Symbolic>(hash_of(symbolic_high, symbolic_low));
  const auto embedding = find<Embedding>(hash_of(embedding_high, embedding_low));
  if (!symbolic || !embedding) return unknown_structure();
  return for_scalar(factor.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const auto order = static_cast<Index>(directions.size());
    const Batched<const T> L(factor, 1);
    const Batched<T> result(*gradient, 1);
    std::vector<Batched<const T>> v;
    std::vector<const T*> v_element(order);
    for (Index d = 0; d < order; ++d) {
      auto direction = directions.get<ffi::AnyBuffer>(d);
      if (!direction.has_value()) return direction.error();
      v.emplace_back(*direction, 1);
    }
    const Scratch scratch(inverse_gradient_workspace(*symbolic, order) * sizeof(T));
    if (!scratch) return out_of_memory("a selected inverse");
    count(Counter::inverse_gradient, result.batch());
    for (Offset i = 0; i < result.batch(); ++i) {
      for (Index d = 0; d < order; ++d) v_element[d] = v[d][i];
      inverse_gradient<T>(*symbolic, *embedding, L[i], v_element, result[i], scratch.as<T>());
    }
    return ffi::Error::Success();
  });
}

ffi::Error triangular_solve_handler(ffi::AnyBuffer values, ffi::AnyBuffer right_hand_side,
                                    ffi::Result<ffi::AnyBuffer> solution, ffi::Result<ffi::AnyBuffer> status,
                                    std::int64_t pattern_high, std::int64_t pattern_low, bool lower,
                                    bool transpose, bool unit_diagonal, std::string_view sentence) {
  const auto pattern = find<Pattern>(hash_of(pattern_high, pattern_low));
  if (!pattern) return unknown_structure();
  return for_scalar(values.element_type(), [&](auto scalar) -> ffi::Error {
    using T = decltype(scalar);
    const Batched<const T> t(values, 1), b(right_hand_side, 2);
    const Batched<T> x(*solution, 2);
    const Batched<Index> code(*status, 0);
    const auto k = static_cast<Index>(right_hand_side.dimensions().back());
    for (Offset i = 0; i < x.batch(); ++i) {
      const Status result =
          triangular_solve<T>(*pattern, lower, transpose, unit_diagonal, t[i], b[i], k, x[i]);
      *code[i] = result.code == 0 ? 0 : 1 + result.detail;
      if (result.code != 0 && !sentence.empty()) return failure(sentence, result, i, x.batch());
    }
    return ffi::Error::Success();
  });
}

}  // namespace
}  // namespace elimax

using namespace elimax;

#pragma GCC visibility push(default)

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_cholesky, cholesky_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("symbolic_high")
                                  .Attr<std::int64_t>("symbolic_low")
                                  .Attr<std::int64_t>("embedding_high")
                                  .Attr<std::int64_t>("embedding_low")
                                  .Attr<std::string_view>("pivot_sentence")
                                  .Attr<std::string_view>("not_finite_sentence"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_logdet, logdet_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("symbolic_high")
                                  .Attr<std::int64_t>("symbolic_low"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_solve, solve_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("symbolic_high")
                                  .Attr<std::int64_t>("symbolic_low")
                                  .Attr<std::int64_t>("part"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_inverse_gradient, inverse_gradient_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("symbolic_high")
                                  .Attr<std::int64_t>("symbolic_low")
                                  .Attr<std::int64_t>("embedding_high")
                                  .Attr<std::int64_t>("embedding_low"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(elimax_triangular_solve, triangular_solve_handler,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("pattern_high")
                                  .Attr<std::int64_t>("pattern_low")
                                  .Attr<bool>("lower")
                                  .Attr<bool>("transpose")
                                  .Attr<bool>("unit_diagonal")
                                  .Attr<std::string_view>("sentence"));

#pragma GCC visibility pop
