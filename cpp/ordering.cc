// ordering.cc
