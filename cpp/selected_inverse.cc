// selected_inverse.cc
