// api_coloring.cc: the plain C functions for colorings; their twin is _structure/_native_coloring.py.
//
// Conventions as in api.cc. A function that returns a number returns -1 when out of memory.

#include <optional>

#include "api.h"
#include "coloring.h"

using namespace elimax;

#pragma GCC visibility push(default)
extern "C" {

int elimax_transpose(Index m, Index n, const Index* ptr, const Index* rows, Index* row_ptr, Index* cols,
                     Index* entries) {
  return guard([&] {
           const Columns A = columns(m, n, ptr, rows);
           transpose(A, array(row_ptr, m + 1), array(cols, ptr[n]), array(entries, ptr[n]));
           return std::optional(1);
         })
      .value_or(-1);
}

// kind: 0 columns, 1 vertices, 2 star, 3 acyclic. left: of a star coloring of a bipartite graph. The number
// of colors.
Index elimax_color(int kind, Index m, Index n, const Index* ptr, const Index* rows, const Index* order,
                   Index left, Index most, Index* color) {
  return guard([&] {
           const Columns A = columns(m, n, ptr, rows);
           const In<Index> sequence(order, static_cast<std::size_t>(n));
           const Out<Index> colors = array(color, n);
           if (kind == 0) return std::optional(color_columns(A, sequence, most, colors));
           if (kind == 1) return std::optional(color_vertices(A, sequence, colors));
           if (kind == 2) return std::optional(color_star(A, sequence, left, most, colors));
           return std::optional(color_acyclic(A, sequence, most, colors));
         })
      .value_or(-1);
}

// method: a VertexOrder.
int elimax_coloring_order(int of_columns, int method, Index m, Index n, const Index* ptr, const Index* rows,
                          Index* order) {
  return guard([&] {
           const Columns A = columns(m, n, ptr, rows);
           if (of_columns)
             order_columns(A, static_cast<VertexOrder>(method), array(order, n));
           else
             order_vertices(A, static_cast<VertexOrder>(method), array(order, n));
           return std::optional(1);
         })
      .value_or(-1);
}

// Whether all entries can be read: 1 or 0.
int elimax_read_directly(Index m, Index n, const Index* ptr, const Index* rows, const Index* row_color,
                         const Index* column_color, Index offset, int lower, Index* color_of_entry,
                         Index* place_of_entry) {
  return guard([&] {
           const Columns A = columns(m, n, ptr, rows);
           const bool complete = read_directly(
               A, {row_color, static_cast<std::size_t>(m)}, {column_color, static_cast<std::size_t>(n)},
               offset, lower != 0, array(color_of_entry, ptr[n]), array(place_of_entry, ptr[n]));
           return std::optional<int>(complete);
         })
      .value_or(-1);
}

int elimax_read_by_substitution(Index n, const Index* ptr, const Index* rows, Index n_entries,
                                const Index* entry, const Index* color, Index* color_of_entry,
                                Index* place_of_entry, Index* position, Index* next) {
  return guard([&] {
           const Columns A = columns(n, n, ptr, rows);
           const bool complete =
               read_by_substitution(A, {entry, A.rows.size()}, {color, static_cast<std::size_t>(n)},
                                    array(color_of_entry, n_entries), array(place_of_entry, n_entries),
                                    array(position, n_entries), array(next, n_entries));
           return std::optional<int>(complete);
         })
      .value_or(-1);
}
}
