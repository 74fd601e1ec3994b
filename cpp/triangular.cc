// triangular.cc
