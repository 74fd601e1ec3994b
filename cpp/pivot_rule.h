// pivot_rule.h: how small a pivot may be. Part of dense kernels (simd.h says what that means), and of their
// callers.
//
// The values are those of an equilibrated matrix, whose norm is about 1. Let w be the largest entry that
// couples the columns of a front to later ones, before they are divided by their pivots d: then L has entries
// up to w / d, and the update matrix grows by up to w^2 / d.
//
// Source: Li and Demmel, "Making sparse Gaussian elimination scalable by static pivoting", SC 1998.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core.h"

namespace elimax {

template <class R>
struct PivotRule {
  R epsilon = std::numeric_limits<R>::epsilon();
  R root = std::sqrt(epsilon);
  R zero;  // what cannot be told from zero: a few roundings of 1 for each row, where that is not too much

  explicit PivotRule(Index n) : zero(std::min(16 * static_cast<R>(n) * epsilon, std::sqrt(epsilon))) {}

  // Entries of L stay below epsilon^-1/2, those of update matrices below epsilon^-1: they cannot overflow.
  __attribute__((always_inline)) R least(R w) const {
    const R one = root * w, two = epsilon * w * w, more = one > two ? one : two;
    return zero > more ? zero : more;
  }
  __attribute__((always_inline)) R replacement(R w) const {
    const R small = least(w);
    return root > small ? root : small;
  }
};

}  // namespace elimax
