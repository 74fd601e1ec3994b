// perturbation.h: pivots that are too small, and what an elimination with pivots of its own choice reports.
//
// A supernode chooses its pivots among its own rows only, so that the structure stays what it is. What is
// left may be too small for its column: then it is replaced by a larger number, and the factor is that of a
// matrix nearby, with which iterative refinement solves (Li and Demmel, "Making sparse Gaussian elimination
// scalable by static pivoting", 1998). Refinement does not repair determinants and inverses: hence the
// status.
//
// The values are those of an equilibrated matrix, whose norm is about 1.
// Cost: a comparison per pivot.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "breakdown.h"

namespace elimax {

// How small a pivot d may be. Let w be the largest entry of its column below the diagonal block before it is
// divided by d: then L has entries up to w / d, and the update matrix grows by up to w^2 / d.
template <class R>
struct PivotRule {
  static constexpr R epsilon = std::numeric_limits<R>::epsilon();
  R root = std::sqrt(epsilon);
  R zero;  // what cannot be told from zero: a few roundings of 1 for each row, where that is not too much

  explicit PivotRule(Index n)
      : zero(std::min(static_cast<R>(roundings) * static_cast<R>(n) * epsilon, std::sqrt(epsilon))) {}

  // Entries of L stay below epsilon^-1/2, those of update matrices below epsilon^-1: they cannot overflow.
  R least(R w) const { return std::max({zero, root * w, epsilon * w * w}); }
  R replacement(R w) const { return std::max(root, least(w)); }
};

// What happened to the pivots; every worker keeps a record of its own.
template <class R>
struct PivotRecord {
  Index first_perturbed = none;  // the first of equals, in any order
  R growth = 0;                  // the largest w^2 / d

  void perturb(Index pivot) {
    if (first_perturbed == none || pivot < first_perturbed) first_perturbed = pivot;
  }
  void grow(R candidate) {
    if (!(candidate <= growth)) growth = candidate;  // NaN, too
  }
  void merge(const PivotRecord& other) {
    if (other.first_perturbed != none) perturb(other.first_perturbed);
    grow(other.growth);
  }
  // Rounding errors grow as update matrices do. What is left of the precision is three quarters of the
  // digits.
  bool unstable() const { return !(growth * std::sqrt(std::sqrt(std::numeric_limits<R>::epsilon())) <= 1); }

  Status status(const Symbolic& symbolic) const {
    if (first_perturbed != none) return {status_pivots_perturbed, symbolic.permutation[first_perturbed]};
    if (unstable()) return {status_unstable, 0};
    return {};
  }
};

}  // namespace elimax
