// symbolic.cc
