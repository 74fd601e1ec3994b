// coloring.h: which columns, rows or vertices may share a product, and where entries are read in the
// products.
//
// A graph is given by both triangles of its pattern, of which the diagonal is ignored. Each coloring is
// greedy in the given order and returns the number of its colors; it gives up as soon as there are more than
// `most`.
#pragma once

#include "core.h"

namespace elimax {

// ---------------------------------------------------------------------------------------------
// coloring.cc

// The transpose of A: n_rows + 1 pointers, the columns of every row, and (unless empty) their entries in A.
void transpose(Columns A, Out<Index> ptr, Out<Index> columns, Out<Index> entries = {});
// A color for every column, so that columns with an entry in a common row differ.
Index color_columns(Columns A, In<Index> order, Index most, Out<Index> color);
// A color for every vertex, so that neighbors differ.
Index color_vertices(Columns graph, In<Index> order, Out<Index> color);

// ---------------------------------------------------------------------------------------------
// star_coloring.cc, acyclic_coloring.cc

// So that neighbors differ, and no path of four vertices has two colors. left: the graph is bipartite, has so
// many vertices on its first side, and each side has colors of its own, from 0 on; or none.
Index color_star(Columns graph, In<Index> order, Index left, Index most, Out<Index> color);
// So that neighbors differ, and no cycle has two colors.
Index color_acyclic(Columns graph, In<Index> order, Index most, Out<Index> color);

// ---------------------------------------------------------------------------------------------
// coloring_order.cc

// In the order of _structure/_native_coloring.py.
enum class VertexOrder { largest_first, smallest_last, incidence_degree, dynamic_largest_first };
void order_vertices(Columns graph, VertexOrder method, Out<Index> order);
// The same for the graph whose neighbors are the columns with an entry in a common row.
void order_columns(Columns A, VertexOrder method, Out<Index> order);

// ---------------------------------------------------------------------------------------------
// readings.cc

// Where every entry is read off: in the product of a color, at a place. The colors of rows count from
// `offset`; none takes part in no product. Whether all entries can be read. lower: of the entries above the
// diagonal of a symmetric pattern, nothing is asked.
bool read_directly(Columns A, In<Index> row_color, In<Index> column_color, Index offset, bool lower,
                   Out<Index> color_of_entry, Out<Index> place_of_entry);
// The same by substitution, for a symmetric pattern with both triangles, of which `entry` tells the entry of
// the lower triangle: entry e is the position[e]-th to be solved for, and the k-th one is subtracted from the
// reading of the next[k]-th, if any. Whether all can be.
bool read_by_substitution(Columns A, In<Index> entry, In<Index> color, Out<Index> color_of_entry,
                          Out<Index> place_of_entry, Out<Index> position, Out<Index> next);

}  // namespace elimax
