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
#include "pivot_rule.h"

namespace elimax {

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
