// solve.cc
