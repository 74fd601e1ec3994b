// schedule.h: in which order the supernodes of an elimination forest are visited.
//
// Elimination flows from the leaves to the roots, inversion from the roots to the leaves; what happens at
// one supernode is the visitor's business. The order is the postorder of Symbolic, or its reverse, on
// one thread: the stacks of update matrices are laid out for it, and results are reproducible.
#pragma once

#include <algorithm>

#include "core.h"

namespace elimax {

// Calls visit(s) for every supernode after its children, until one call returns false.
template <class Visit>
void upward(const Symbolic& symbolic, Visit visit) {
  for (Index s = 0; s < symbolic.supernodes(); ++s)
    if (!visit(s)) return;
}

// Calls visit(s) for every supernode after its parent.
template <class Visit>
void downward(const Symbolic& symbolic, Visit visit) {
  for (Index s = symbolic.supernodes(); s-- > 0;) visit(s);
}

// The children of every supernode, as linked lists over memory of the caller: the last child first.
class Children {
 public:
  static Offset size(const Symbolic& symbolic) { return 2 * static_cast<Offset>(symbolic.supernodes()); }

  Children(const Symbolic& symbolic, Index* memory)
      : last_(memory), previous_(memory + symbolic.supernodes()) {
    std::fill_n(last_, symbolic.supernodes(), none);
    for (Index s = 0; s < symbolic.supernodes(); ++s) {
      const Index parent = symbolic.super_parent[s];
      if (parent == none) continue;
      previous_[s] = last_[parent];
      last_[parent] = s;
    }
  }

  template <class Visit>
  void of(Index s, Visit visit) const {
    for (Index child = last_[s]; child != none; child = previous_[child]) visit(child);
  }

 private:
  Index* last_;
  Index* previous_;
};

}  // namespace elimax
