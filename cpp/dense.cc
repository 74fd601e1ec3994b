// dense.cc
